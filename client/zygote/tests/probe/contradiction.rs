//! Two preloads that wait for each other, and a function registered twice.
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

mpfork_zygote::register_entry!("twice", |_| mpfork_zygote::Returned::Code(1));
mpfork_zygote::register_entry!("twice", |_| mpfork_zygote::Returned::Code(2));

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
