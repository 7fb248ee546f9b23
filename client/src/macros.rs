//! The macros of this crate; those that declare preloads and hooks are `mpfork-zygote`'s.

/// Registers a function under a name, so that `mpctl`, programs in other languages and
/// [`Context::spawn_registered`](crate::Context::spawn_registered) can start it.
///
/// ```
/// fn count_words(text: String) -> usize {
///     text.split_whitespace().count()
/// }
/// mpfork::register!("count-words", count_words);
/// # fn main() {}
/// ```
///
/// The function is one that [`Context::spawn`](crate::Context::spawn) takes. Its arguments come as
/// MessagePack: one value, an array for several, nil for none; what has a form for people, such as an
/// address, is a string.
#[macro_export]
macro_rules! register {
    ($name:expr, $function:expr $(,)?) => {
        $crate::__private::register_entry! {
            $name,
            |argument| $crate::__private::run_registered($function, argument)
        }
    };
}

/// Lets ordinary `#[test]` functions start workers, under `cargo test` and `cargo nextest`: once in
/// each test binary that does, in place of `freeze_support()`.
///
/// ```
/// #[cfg(test)]
/// mod tests {
///     mpfork::test_support!();
///
///     #[test]
///     fn it_doubles_elsewhere() -> Result<(), mpfork::Error> {
///         let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
///         assert_eq!(ctx.spawn(|n: u32| 2 * n, 21)?.join()?, 42);
///         Ok(())
///     }
/// }
/// ```
///
/// It declares a test, `mpfork_test_support`, as which the test binary is executed to be a zygote, or a
/// worker by `spawn`. Run otherwise it does nothing and passes. Start method `fork` is refused, as tests
/// have threads.
#[allow(clippy::test_attr_in_doctest)] // it is about tests
#[macro_export]
macro_rules! test_support {
    () => {
        #[cfg(test)]
        #[test]
        fn mpfork_test_support() {
            $crate::__private::freeze_in_test();
        }

        #[cfg(test)]
        $crate::__private::inventory::submit! {
            $crate::__private::TestSupport::new(module_path!())
        }
    };
}
