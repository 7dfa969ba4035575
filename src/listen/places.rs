//! How many connections there are, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::ConnectionSettings;

/// The places for connections. Each that is taken comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    limit: usize,
    limit_per_address: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Places {
    pub(super) fn new(settings: &ConnectionSettings) -> Self {
        Self {
            taken: Arc::default(),
            limit: settings.max_connections,
            limit_per_address: settings.max_connections_per_address,
        }
    }

    /// Takes a place. The error is the setting that has none left.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, &'static str> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.limit {
            return Err("server.max_connections");
        }
        let here = taken.by_address.entry(address).or_default();
        if *here >= self.limit_per_address {
            return Err("server.max_connections_per_address");
        }
        *here += 1;
        taken.all += 1;
        Ok(Place {
            taken: self.taken.clone(),
            address,
        })
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_each_comes_back() {
        let places = Places {
            taken: Arc::default(),
            limit: 3,
            limit_per_address: 2,
        };
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let first = places.take(address(1)).unwrap();
        let _second = places.take(address(1)).unwrap();
        assert_eq!(
            places.take(address(1)).unwrap_err(),
            "server.max_connections_per_address"
        );
        let third = places.take(address(2)).unwrap();
        assert_eq!(
            places.take(address(3)).unwrap_err(),
            "server.max_connections"
        );
        drop(third);
        assert!(places.take(address(1)).is_err());
        drop(first);
        assert!(places.take(address(1)).is_ok());
        assert_eq!(places.taken.lock().unwrap().by_address.len(), 1);
    }
}
