//! The attribute of the crate `mpfork`, which has it as its own: see there.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Error, ItemFn, Result};

/// Calls `mpfork::freeze_support()` first thing in `main`, before a runtime starts its threads.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let frozen = syn::parse(item).and_then(|item| freeze(&arguments.into(), item));
    frozen.unwrap_or_else(Error::into_compile_error).into()
}

fn freeze(arguments: &Tokens, item: ItemFn) -> Result<Tokens> {
    let signature = &item.sig;
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "it takes no arguments"));
    }
    if signature.ident != "main" || !signature.inputs.is_empty() {
        let what = "it is for `main`, which has no arguments";
        return Err(Error::new_spanned(signature, what));
    }
    if let Some(asyncness) = &signature.asyncness
        && !item.attrs.iter().any(may_be_a_runtimes)
    {
        let what = "an async main needs a runtime: put its attribute, such as #[tokio::main], beneath \
                    #[mpfork::main]";
        return Err(Error::new_spanned(asyncness, what));
    }
    let output = &signature.output;
    // What is beneath sees a main as it expects one.
    Ok(quote! {
        fn main() #output {
            #item
            ::mpfork::freeze_support();
            main()
        }
    })
}

/// The compiler's own are no runtime's.
fn may_be_a_runtimes(attribute: &syn::Attribute) -> bool {
    const COMPILERS: [&str; 8] = [
        "allow", "cfg", "cfg_attr", "deny", "doc", "expect", "must_use", "warn",
    ];
    let path = attribute.path();
    !COMPILERS.iter().any(|name| path.is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(arguments: &str, item: &str) -> std::result::Result<String, String> {
        let arguments: Tokens = arguments.parse().unwrap();
        freeze(&arguments, syn::parse_str(item).unwrap())
            .map(|tokens| tokens.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_main_is_frozen_before_its_runtime_starts() {
        let text = frozen("", "#[tokio::main] async fn main() -> X { body() }").unwrap();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(text.starts_with("fn main () -> X"), "{text}");
        assert!(place("tokio :: main") < place("async fn main"));
        // What is beneath is only declared before.
        let called = "mpfork :: freeze_support () ; main () }";
        assert!(text.ends_with(called), "{text}");
        frozen("", "fn main() {}").unwrap();
    }

    #[test]
    fn what_it_is_not_for_is_refused_with_a_reason() {
        for (arguments, item, expected) in [
            ("x", "fn main() {}", "no arguments"),
            ("", "fn other() {}", "for `main`"),
            ("", "fn main(x: u8) {}", "for `main`"),
            ("", "#[allow(x)] async fn main() {}", "#[tokio::main]"),
        ] {
            let error = frozen(arguments, item).unwrap_err();
            assert!(error.contains(expected), "{item}: {error}");
        }
    }
}
