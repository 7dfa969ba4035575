//! How many connections there are, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ConnectionSettings;

/// The places for connections. Each that is taken comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    limit: usize,
    limit_per_address: usize,
    flood_pause: Duration,
}

/// How many places are taken.
#[derive(Clone, Debug)]
pub struct Occupancy {
    taken: Arc<Mutex<Taken>>,
    limit: usize,
}

impl Occupancy {
    /// How many are taken at this moment, and how many there are.
    pub fn now(&self) -> (usize, usize) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        (taken.all, self.limit)
    }
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Until when addresses get no further place.
    refused: HashMap<IpAddr, Instant>,
}

impl Places {
    pub(super) fn new(settings: &ConnectionSettings) -> Self {
        Self {
            taken: Arc::default(),
            limit: settings.max_connections,
            limit_per_address: settings.max_connections_per_address,
            flood_pause: settings.flood_pause,
        }
    }

    /// How many are taken, from now on.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy {
            taken: self.taken.clone(),
            limit: self.limit,
        }
    }

    /// Takes a place. The error is the setting that has none left.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, &'static str> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.limit {
            return Err("server.max_connections");
        }
        if !taken.refused.is_empty() {
            let now = Instant::now();
            taken.refused.retain(|_, until| *until > now);
            if taken.refused.contains_key(&address) {
                return Err("server.flood_pause");
            }
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
            flood_pause: self.flood_pause,
        })
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
    flood_pause: Duration,
}

impl Place {
    /// Gives its address no further place for a while.
    pub(super) fn refuse_more(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + self.flood_pause;
        taken.refused.insert(self.address, until);
    }
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
            flood_pause: Duration::ZERO,
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
        let occupancy = places.occupancy();
        assert_eq!(occupancy.now(), (3, 3));
        drop(third);
        assert_eq!(occupancy.now(), (2, 3));
        assert!(places.take(address(1)).is_err());
        drop(first);
        assert!(places.take(address(1)).is_ok());
        assert_eq!(places.taken.lock().unwrap().by_address.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_has_flooded_gets_no_place_for_a_while_and_others_do() {
        let places = Places {
            taken: Arc::default(),
            limit: 9,
            limit_per_address: 9,
            flood_pause: Duration::from_secs(1),
        };
        let address = |last| IpAddr::from([127, 0, 0, last]);
        places.take(address(1)).unwrap().refuse_more();
        assert_eq!(places.take(address(1)).unwrap_err(), "server.flood_pause");
        assert!(places.take(address(2)).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(places.take(address(1)).is_ok());
        assert!(places.taken.lock().unwrap().refused.is_empty());
    }
}
