//! Brings up the loopback interface of a new network namespace, its only one.

use std::io;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::os::fd::AsRawFd as _;

/// `struct nlmsghdr` (16 bytes) and `struct ifinfomsg` (16 bytes), see rtnetlink(7).
const MESSAGE_BYTES: u32 = 32;
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_AND_ACK: u16 = 1 | 4;
const NLMSG_ERROR: u16 = 2;
/// In every network namespace.
const LOOPBACK_INDEX: i32 = 1;
const IFF_UP: u32 = 1;

pub(super) fn bring_up() -> io::Result<()> {
    let route = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    send(route.as_raw_fd(), &message(), MsgFlags::empty())?;
    let mut answer = [0; 128];
    let length = recv(route.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    read_answer(&answer[..length])
}

fn message() -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(MESSAGE_BYTES.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    // The sequence number and the sender, which the kernel fills in.
    message.extend([0; 8]);
    // The family, a gap and the type of the device.
    message.extend([0; 4]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message
}

/// An acknowledgement is an error message with the number 0.
fn read_answer(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let number = answer.get(16..20).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), number.map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::Error::other("the kernel gave no answer")),
    }
}
