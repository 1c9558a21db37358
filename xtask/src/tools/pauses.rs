//! The pauses before what failed is asked for again.

use std::time::Duration;

/// One pause for each time that something is asked for again.
pub const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// A server that asks for more (`Retry-After`) is not waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// Those that are left.
#[derive(Debug, Clone)]
pub struct Pauses(std::slice::Iter<'static, Duration>);

impl Pauses {
    pub fn new(pauses: &'static [Duration]) -> Self {
        Self(pauses.iter())
    }

    /// The next pause, and no less than the server asks for; none when there were enough, or when
    /// that is too long.
    pub fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let pause = *self.0.next()?;
        let asked = asked.unwrap_or_default();
        (asked <= LONGEST).then(|| pause.max(asked))
    }
}

/// How long a server wants to be left alone: `Retry-After` in seconds. A date is not understood.
pub fn asked_for(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let seconds = |asked: &str| Pauses::new(&PAUSES).next(asked_for(asked));
        assert_eq!(seconds("0"), Some(PAUSES[0]));
        assert_eq!(seconds("5"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("3600"), None);
        assert_eq!(seconds("Fri, 27 Nov 2026 18:00:00 GMT"), Some(PAUSES[0]));
        let mut pauses = Pauses::new(&PAUSES);
        assert!((0..3).all(|_| pauses.next(None).is_some()));
        assert_eq!(pauses.next(None), None);
    }
}
