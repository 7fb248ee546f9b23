//! A zygote sees of mpforkd's environment nothing, and a worker neither that nor mpfork's own.

use mpfork_tests::harness::spec::{self, command, function};
use mpfork_tests::harness::{Setup, check};

/// What whoever starts mpforkd may have in its environment, and nobody else is to see.
const OTHERS: [&str; 5] = ["SECRET_TOKEN", "HOME", "LANG", "INVOCATION_ID", "TEST_GATE"];

fn names(pid: i32) -> Vec<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let variables = environment.split(|byte| *byte == 0);
    let variables = variables.filter(|variable| !variable.is_empty());
    let name = |variable: &[u8]| {
        let variable = String::from_utf8_lossy(variable);
        variable.split('=').next().unwrap().to_owned()
    };
    variables.map(name).collect()
}

#[test]
fn nothing_of_the_daemons_environment_reaches_zygotes_or_workers() {
    let setup = OTHERS.iter();
    let setup = setup.fold(Setup::new(), |setup, name| setup.env(name, "x"));
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client
            .test_template(&[("TEST_VALUE", "declared"), ("TEST_COUNT", "/dev/null")])
            .await;
        client.warm(&digest).await.unwrap();
        client.warm("command").await.unwrap();
        // As they were executed: a zygote's own copy is what it was given.
        for (template, declared) in [
            (digest.as_str(), &["TEST_VALUE", "TEST_COUNT"][..]),
            ("command", &[]),
        ] {
            let zygote = client.template(template).await.zygote_pid;
            for name in names(zygote) {
                let own = name.starts_with("MPFORK_") || name == "GLIBC_TUNABLES";
                assert!(
                    own || declared.contains(&name.as_str()),
                    "{template}: {name}"
                );
            }
        }
        // What a worker says of its environment: what the request gave, and the zygote's declared ones.
        let (output, exit) = client.output_of(command(&["env"])).await;
        assert!(exit.success());
        assert_eq!(output, "PATH=/usr/local/bin:/usr/bin:/bin\n");
        let mut spec = function(&digest, "environment", ());
        spec.state.as_mut().unwrap().env = spec::env(&[("GIVEN", "1")]);
        let (output, exit) = client.output_of(spec).await;
        assert!(exit.success(), "{exit}");
        assert_eq!(output, "GIVEN\n");
        let (output, exit) = client.output_of(function(&digest, "environment", ())).await;
        assert!(exit.success(), "{exit}");
        assert_eq!(output, "TEST_COUNT\nTEST_VALUE\n");
    });
}
