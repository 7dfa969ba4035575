//! What has happened in a history, in the order of time, for people.

use std::fmt::Write as _;

use crate::plan::Plan;
use crate::task::Millis;
use crate::world::{Asker, Look, World, place_name};

/// The story of a history.
pub(crate) fn story(plan: &Plan, world: &World) -> String {
    let mut text = format!("seed {}: {:?}\n", plan.seed, plan.settings);
    for (number, begun) in world.begun.iter().enumerate() {
        let _ = writeln!(text, "start {number}: {begun:?}");
    }
    for (number, task) in world.tasks.iter().enumerate() {
        let (context_id, path) = place_name(task.place);
        let _ = writeln!(
            text,
            "task {number}: {:?}, {:?} of {context_id} at {path}, count {}, shown from {}, begins {}, ends {:?} ({}), vanishes {:?}{}",
            task.origin,
            task.direction,
            task.count,
            task.shown_from,
            task.begins,
            task.ends,
            if task.succeeds { "well" } else { "badly" },
            task.vanishes,
            if task.is_ghost {
                ", never has a start"
            } else {
                ""
            },
        );
    }
    let mut events: Vec<(Millis, String)> = world.told.clone();
    // A look that shows what the one before has shown is not worth a line.
    let mut latest: Vec<((usize, Asker), String)> = Vec::new();
    for look in &world.looks {
        let (asker, shows) = ((look.replica, look.asker), what_it_shows(look));
        let before = latest.iter_mut().find(|(other, _)| *other == asker);
        match before {
            Some((_, before)) if *before == shows => continue,
            Some((_, before)) => before.clone_from(&shows),
            None => latest.push((asker, shows.clone())),
        }
        events.push((look.ended, of_look(look, &shows)));
    }
    events.sort_by_key(|(at, _)| *at);
    for (at, event) in events {
        let _ = writeln!(text, "{at:>7} {event}");
    }
    for violation in &world.violations {
        let _ = writeln!(text, "VIOLATION {violation}");
    }
    text
}

fn of_look(look: &Look, shows: &str) -> String {
    let moment = look
        .shown
        .as_ref()
        .map_or(look.ended, |(moment, _)| *moment);
    format!(
        "replica {}, {:?}, looks from {} on, as of {moment}: {shows}",
        look.replica, look.asker, look.begun
    )
}

fn what_it_shows(look: &Look) -> String {
    let shown = match &look.shown {
        Ok((_, shown)) => shown,
        Err(Some(fault)) => return format!("{fault:?}"),
        Err(None) => return "nobody waited for the answer".to_owned(),
    };
    let tasks: Vec<_> = shown
        .iter()
        .map(|shown| {
            let started = if shown.appearance.has_started {
                ""
            } else {
                " without a start"
            };
            format!("task {} {:?}{started}", shown.task, shown.appearance.state)
        })
        .collect();
    tasks.join(", ")
}
