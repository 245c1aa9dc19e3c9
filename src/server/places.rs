//! Jobs under way, each at a place that keeps its number until the job ends. A place is used again; its index names one job only until then.

/// Numbered places, some of them free.
pub(crate) struct Places<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Places<T> {
    /// Puts a job at a free place, whose number it returns.
    pub(crate) fn insert(&mut self, job: T) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(job);
                place
            }
            None => {
                self.places.push(Some(job));
                self.places.len() - 1
            }
        }
    }

    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Takes a job out; its place is free.
    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let job = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(job)
    }

    /// How many jobs there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_when_its_job_is_gone() {
        let mut places = Places::default();
        let (first, second) = (places.insert('a'), places.insert('b'));
        assert_eq!((places.len(), places.remove(first), places.remove(first)), (2, Some('a'), None));
        assert_eq!(places.insert('c'), first);
        assert_eq!((places.get(first), places.get(9)), (Some(&'c'), None));
        assert_eq!(places.get_mut(second), Some(&mut 'b'));
        assert!(!places.is_empty());
    }
}
