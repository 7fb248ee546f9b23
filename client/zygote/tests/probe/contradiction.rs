//! Two preloads that wait for each other.
#![forbid(unsafe_code)]

mpfork_zygote::preload! {
    static HEN: u8 = || 1;
    name = "hen",
    after = ["egg"],
}

mpfork_zygote::preload! {
    static EGG: u8 = || 2;
    name = "egg",
    after = ["hen"],
}

fn main() {
    if let Err(error) = mpfork_zygote::freeze_support() {
        eprintln!("{error}");
        return;
    }
    match HEN.try_get() {
        Ok(_) => println!("loaded"),
        Err(error) => println!("{error}"),
    }
    let panic = std::panic::catch_unwind(|| *EGG);
    println!("{}", panic.is_err());
}
