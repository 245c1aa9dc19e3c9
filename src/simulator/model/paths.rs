//! What may be answered of paths.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sutra_wire::{Direction, Path, PathMode};

use super::{Model, When};
use crate::operation::{Concept, Edge, Way};

impl Model {
    /// Whether the ways from one concept to another may be these. Every association of a path was
    /// there when it was read. Where nothing changes, they are also the best.
    pub(super) fn check_paths(&self, when: When, way: &Way, paths: &[Path]) -> Result<(), String> {
        for path in paths {
            self.check_path(when, way, path)?;
        }
        if paths.len() > way.alternatives.max(1) as usize {
            return Err(format!("{} paths were found, more than asked for", paths.len()));
        }
        if way.mode != PathMode::Shortest {
            return Ok(());
        }
        self.check_length(when, way, paths.first().map(|path| path.edges.len()))
    }

    /// Whether a shortest way may be so long, or not be there at all.
    pub(super) fn check_length(
        &self,
        when: When,
        way: &Way,
        found: Option<usize>,
    ) -> Result<(), String> {
        if !self.edges.values().all(super::History::is_settled) {
            return Ok(());
        }
        let is_changing = |edge: &Edge| {
            let presence = self.edge_presence(when, edge);
            presence.is_possible && !presence.is_certain
        };
        let start = Concept { space: way.space, id: way.start };
        let is_start_changing = self.concepts.get(&start).is_some_and(|history| {
            let presence = history.presence(when, None);
            presence.is_possible && !presence.is_certain
        });
        if is_start_changing || self.edges.keys().any(is_changing) {
            return Ok(());
        }
        let expected = self.distance(when, way);
        if expected != found {
            return Err(format!(
                "the shortest path has {found:?} associations; it should have {expected:?}"
            ));
        }
        Ok(())
    }

    fn check_path(&self, when: When, way: &Way, path: &Path) -> Result<(), String> {
        let places: Option<Vec<usize>> =
            path.concepts.iter().map(|id| self.plan.place(id)).collect();
        let places = places.ok_or("a path leads through a concept that nobody named")?;
        if places.len() != path.edges.len() + 1
            || places.first() != Some(&way.start)
            || places.last() != Some(&way.end)
            || path.edges.len() > way.max_depth as usize
        {
            return Err(format!("a path leads through {places:?}"));
        }
        for (ends, step) in places.windows(2).zip(&path.edges) {
            let (source, target) =
                if step.forward { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
            let edge = Edge { space: way.space, source, target, kind: step.kind };
            let is_way = match way.direction {
                Direction::Both => true,
                Direction::Out => step.forward,
                Direction::In => !step.forward,
            };
            if !is_way || !self.may_have(when, &edge, step.confidence) {
                return Err(format!("a path leads along {edge}, {}", step.confidence));
            }
        }
        Ok(())
    }

    /// How many associations the shortest way has, where there is one.
    fn distance(&self, when: When, way: &Way) -> Option<usize> {
        let is_known = |id: usize| {
            let concept = Concept { space: way.space, id };
            let is_learned = self
                .concepts
                .get(&concept)
                .is_some_and(|history| history.presence(when, None).is_certain);
            let mut edges = self.edges.keys().filter(|edge| edge.touches(concept));
            is_learned || edges.any(|edge| self.edge_presence(when, edge).is_certain)
        };
        if way.start == way.end {
            return is_known(way.start).then_some(0);
        }
        let distances = self.reach(when, way.space, way.start, way.direction, way.max_depth);
        distances.get(&way.end).copied()
    }

    /// Every concept that can be reached, with the fewest associations to it.
    pub(super) fn reach(
        &self,
        when: When,
        space: usize,
        start: usize,
        direction: Direction,
        most: u32,
    ) -> BTreeMap<usize, usize> {
        let there: BTreeSet<(usize, usize)> = self
            .edges
            .keys()
            .filter(|edge| edge.space == space && self.edge_presence(when, edge).is_certain)
            .map(|edge| (edge.source, edge.target))
            .collect();
        let mut distances = BTreeMap::from([(start, 0)]);
        let mut next = VecDeque::from([start]);
        while let Some(from) = next.pop_front() {
            let distance = distances[&from];
            if distance == most as usize {
                continue;
            }
            for (source, target) in &there {
                let ends = [
                    (*source, *target, direction != Direction::In),
                    (*target, *source, direction != Direction::Out),
                ];
                for (_, to, _) in
                    ends.into_iter().filter(|(here, _, is_way)| *here == from && *is_way)
                {
                    distances.entry(to).or_insert_with(|| {
                        next.push_back(to);
                        distance + 1
                    });
                }
            }
        }
        distances
    }
}
