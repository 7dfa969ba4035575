//! Compiles the gateway's protos, with stubs for what a measured server does not answer.

use std::error::Error;

const ROOT: &str = "../proto";
const FILES: [&str; 3] = [
    "agb/gateway/v1/context_service.proto",
    "agb/gateway/v1/session_service.proto",
    "agb/gateway/v1/sync_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::Compiler::new([ROOT])?
        .include_imports(true)
        .open_files(FILES)?
        .file_descriptor_set();
    tonic_prost_build::configure()
        .btree_map(".")
        .generate_default_stubs(true)
        .compile_fds(descriptors)?;
    Ok(())
}
