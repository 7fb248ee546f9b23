//! The order of declarations: what they depend on first, then by place.

use super::place::Place;

/// Something declared with a name, after others.
pub(crate) trait Declared {
    fn name(&self) -> &'static str;
    fn after(&self) -> &'static [&'static str];
    fn place(&self) -> Place;
}

/// The declarations of a program contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Two declarations have the same name.
    #[error("two of them are named `{name}`: {first} and {second}")]
    Duplicate {
        /// The name.
        name: String,
        /// Where the first is declared.
        first: String,
        /// Where the second is declared.
        second: String,
    },
    /// A declaration names another that does not exist.
    #[error("`{name}` ({place}) is declared to come after `{after}`, which does not exist")]
    Unknown {
        /// The name of the declaration.
        name: String,
        /// Where it is.
        place: String,
        /// What it names.
        after: String,
    },
    /// Somebody asked for one that does not exist.
    #[error("there is none named `{name}`; there are: {known}")]
    NotDeclared {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Declarations depend on each other in a circle.
    #[error("they come after each other in a circle: {}", .0.join(" -> "))]
    Circle(Vec<String>),
}

/// Sorts declarations: each after those it names, otherwise by place.
pub(crate) fn sort<T: Declared + ?Sized>(
    mut items: Vec<&'static T>,
) -> Result<Vec<&'static T>, OrderError> {
    items.sort_by_key(|item| item.place());
    for (index, item) in items.iter().enumerate() {
        if let Some(first) = items[..index].iter().find(|i| i.name() == item.name()) {
            return Err(OrderError::Duplicate {
                name: item.name().to_owned(),
                first: first.place().to_string(),
                second: item.place().to_string(),
            });
        }
    }
    let mut walk = Walk {
        items: &items,
        done: Vec::with_capacity(items.len()),
        path: Vec::new(),
    };
    for item in &items {
        walk.visit(*item)?;
    }
    Ok(walk.done)
}

/// Of sorted declarations, those named and all they depend on, still sorted.
pub(crate) fn select<T: Declared + ?Sized>(
    sorted: &[&'static T],
    names: &[&str],
) -> Result<Vec<&'static T>, OrderError> {
    let mut wanted: Vec<&str> = Vec::new();
    for name in names {
        if !sorted.iter().any(|item| item.name() == *name) {
            let known: Vec<&str> = sorted.iter().map(|item| item.name()).collect();
            return Err(OrderError::NotDeclared {
                name: (*name).to_owned(),
                known: known.join(", "),
            });
        }
        wanted.push(name);
    }
    // What an item depends on precedes it, so one pass from the end finds all.
    let mut selected: Vec<&'static T> = Vec::new();
    for item in sorted.iter().rev() {
        if wanted.contains(&item.name()) {
            wanted.extend(item.after());
            selected.push(*item);
        }
    }
    selected.reverse();
    Ok(selected)
}

struct Walk<'a, T: ?Sized + 'static> {
    items: &'a [&'static T],
    done: Vec<&'static T>,
    path: Vec<&'static str>,
}

impl<T: Declared + ?Sized> Walk<'_, T> {
    fn visit(&mut self, item: &'static T) -> Result<(), OrderError> {
        if self.done.iter().any(|done| done.name() == item.name()) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|name| *name == item.name()) {
            let circle = self.path[start..].iter().copied().chain([item.name()]);
            return Err(OrderError::Circle(circle.map(str::to_owned).collect()));
        }
        self.path.push(item.name());
        let mut before: Vec<&'static T> = Vec::new();
        for after in item.after() {
            let found = self.items.iter().find(|other| other.name() == *after);
            before.push(*found.ok_or_else(|| OrderError::Unknown {
                name: item.name().to_owned(),
                place: item.place().to_string(),
                after: (*after).to_owned(),
            })?);
        }
        before.sort_by_key(|item| item.place());
        for item in before {
            self.visit(item)?;
        }
        self.path.pop();
        self.done.push(item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(&'static str, &'static [&'static str], u32);

    impl Declared for Item {
        fn name(&self) -> &'static str {
            self.0
        }
        fn after(&self) -> &'static [&'static str] {
            self.1
        }
        fn place(&self) -> Place {
            Place::new("a::b", "a.rs", self.2, 1)
        }
    }

    fn names(items: &[&'static Item]) -> Vec<&'static str> {
        items.iter().map(|item| item.0).collect()
    }

    #[test]
    fn dependencies_then_place() {
        static ITEMS: [Item; 5] = [
            Item("last", &[], 9),
            Item("second", &["third", "first"], 2),
            Item("third", &[], 3),
            Item("first", &[], 1),
            Item("fourth", &["second"], 4),
        ];
        let sorted = sort(ITEMS.iter().collect()).unwrap();
        assert_eq!(
            names(&sorted),
            ["first", "third", "second", "fourth", "last"]
        );
        let selected = select(&sorted, &["second"]).unwrap();
        assert_eq!(names(&selected), ["first", "third", "second"]);
        assert!(matches!(
            select(&sorted, &["none"]),
            Err(OrderError::NotDeclared { .. })
        ));
    }

    #[test]
    fn contradictions() {
        static TWICE: [Item; 2] = [Item("a", &[], 1), Item("a", &[], 2)];
        static UNKNOWN: [Item; 1] = [Item("a", &["b"], 1)];
        static CIRCLE: [Item; 3] = [
            Item("a", &["b"], 1),
            Item("b", &["c"], 2),
            Item("c", &["b"], 3),
        ];
        let error = |items: &'static [Item]| sort(items.iter().collect()).err().unwrap();
        assert!(matches!(error(&TWICE), OrderError::Duplicate { .. }));
        assert!(matches!(error(&UNKNOWN), OrderError::Unknown { .. }));
        let OrderError::Circle(circle) = error(&CIRCLE) else {
            panic!("no circle");
        };
        assert_eq!(circle, ["b", "c", "b"]);
    }
}
