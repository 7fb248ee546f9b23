//! `RegisterTemplate`: the same recipe is the same template, another one another.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{
    Descriptor, RegisterTemplateRequest, Rlimit, TemplateSpec, TemplateState, env_directive,
};
use mpfork_tests::harness::programs::{self, BUILDS, rebuild, test_program};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{
    Setup, check, eventually_async, process, refused, refused_field, template,
};
use sha2::Digest as _;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

fn set(name: &str, value: &str) -> env_directive::Set {
    env_directive::Set {
        name: name.into(),
        value: value.into(),
    }
}

#[test]
fn the_same_recipe_is_the_same_template() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        let mut spec = template(&program, &[("A", "1"), ("B", "2")]);
        spec.all_preloads = false;
        spec.preloads = ["counted", "parent"].map(str::to_owned).into();
        spec.rlimits = [(4, 0), (12, 0)]
            .map(|(resource, both)| Rlimit {
                resource,
                soft: both,
                hard: both,
            })
            .into();
        let first = client.try_register(&program, spec.clone()).await.unwrap();
        assert!(first.created);
        assert_eq!(first.state(), TemplateState::Cold);
        assert!(first.digest.len() == 64 && first.digest.bytes().all(|b| b.is_ascii_hexdigit()));
        let again = client.try_register(&program, spec.clone()).await.unwrap();
        assert_eq!(
            (again.digest.as_str(), again.created),
            (first.digest.as_str(), false)
        );
        // In another order, by another client, from a copy of the program somewhere else.
        let copy = daemon.path("copy");
        programs::copy(&copy);
        let mut reordered = spec.clone();
        reordered.env.reverse();
        reordered.rlimits.reverse();
        reordered.preloads = ["parent", "counted", "parent"].map(str::to_owned).into();
        let other = daemon.connect().await;
        let again = other.try_register(&copy, reordered).await.unwrap();
        assert_eq!(
            (again.digest.as_str(), again.created),
            (first.digest.as_str(), false)
        );
        client.warm(&first.digest).await.unwrap();
        let again = client.try_register(&program, spec).await.unwrap();
        assert_eq!(again.state(), TemplateState::Warm);
    });
}

#[test]
fn each_part_of_the_recipe_makes_another_template() {
    type Change = fn(&mut TemplateSpec);
    let changes: &[Change] = &[
        |_| {},
        |s| s.args.push(b"a".to_vec()),
        |s| s.args.extend([b"a".to_vec(), b"".to_vec()]),
        |s| {
            s.all_preloads = false;
            s.preloads = vec!["counted".to_owned()];
        },
        |s| s.all_preloads = false,
        |s| {
            s.env = vec![env_directive::Set {
                name: b"A".to_vec(),
                value: b"2".to_vec(),
            }];
        },
        |s| s.env.clear(),
        |s| {
            s.rlimits = vec![Rlimit {
                resource: 4,
                soft: 0,
                hard: 0,
            }];
        },
    ];
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        let mut digests = HashSet::new();
        for change in changes {
            let mut spec = template(&program, &[("A", "1")]);
            change(&mut spec);
            let registered = client.try_register(&program, spec).await.unwrap();
            assert!(registered.created && digests.insert(registered.digest));
        }
        let other = mpfork_tests::harness::programs::program("test-user");
        let registered = client
            .try_register(&other, template(&program, &[("A", "1")]))
            .await
            .unwrap();
        assert!(registered.created && digests.insert(registered.digest));
    });
}

#[test]
fn the_same_program_in_other_circumstances_finds_its_zygote_warm() {
    check(Setup::new(), async |daemon| {
        let count = daemon.path("count");
        let run = |args: &[&str], folder: &Path, unrelated: &str, value: &str| {
            let output = Command::new(test_program())
                .arg("value")
                .arg(daemon.socket())
                .args(args)
                .current_dir(folder)
                .env("TEST_COUNT", &count)
                .env("TEST_VALUE", value)
                .env("UNRELATED", unrelated)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                format!("{value}\n")
            );
        };
        let loads = || std::fs::read_to_string(&count).unwrap().lines().count();
        run(&[], Path::new("/"), "1", "one");
        run(&["other", "arguments"], Path::new("/"), "1", "one");
        run(&[], daemon.folder().path(), "1", "one");
        run(&[], Path::new("/"), "2", "one");
        assert_eq!(loads(), 1, "one zygote has served all");
        // A variable that a preload declares makes another.
        run(&[], Path::new("/"), "1", "two");
        assert_eq!(loads(), 2);
        let client = daemon.connect().await;
        assert_eq!(client.status().await.templates.len(), 3);
    });
}

#[test]
fn a_rebuilt_program_gets_a_new_zygote_and_the_old_one_drains() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = daemon.path("program");
        programs::copy(&program);
        let old = client.register(&program, &[]).await;
        let (mut running, _) = client.run_until_line(function(&old, "hang", ())).await;
        let zygote = client.template(&old).await.zygote_pid;
        // Another build takes the path, as a compiler does it.
        let rebuilt = daemon.path("rebuilt");
        rebuild(&rebuilt);
        std::fs::rename(&rebuilt, &program).unwrap();
        let new = client.register(&program, &[]).await;
        assert_ne!(old, new);
        let template = client.template(&old).await;
        assert_eq!(template.state(), TemplateState::Draining, "{template:?}");
        assert_eq!(template.reason, "its program was rebuilt");
        for (template, build) in [(&new, BUILDS[1]), (&old, BUILDS[0])] {
            let (output, exit) = client.output_of(function(template, "build", ())).await;
            assert!(exit.success() && output.trim() == build, "{output}");
        }
        // What runs goes on, and its zygote leaves after it.
        assert!(process::lives(running.pid()) && process::lives(zygote));
        client.signal(running.id(), 9, false).await.unwrap();
        assert_eq!(running.exit().await.exitcode(), -9);
        eventually_async("the old zygote leaves", async || {
            (!process::lives(zygote)).then_some(())
        })
        .await;
        // It is still known by its digest, and the file it was made from is still open.
        assert!(client.exit_of(function(&old, "value", ())).await.success());
    });
}

#[test]
fn registered_templates_that_are_cold_make_room() {
    let setup = Setup::new().config("[limits]\ntemplates = 4");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let warm = client.test_template(&[("TEST_VALUE", "warm")]).await;
        client.warm(&warm).await.unwrap();
        for n in 0..20 {
            let digest = client
                .test_template(&[("TEST_VALUE", &n.to_string())])
                .await;
            assert_eq!(client.template(&digest).await.state(), TemplateState::Cold);
            assert!(client.status().await.templates.len() <= 4);
        }
        assert_eq!(client.template(&warm).await.state(), TemplateState::Warm);
    });
}

#[test]
fn wrong_requests_name_the_field() {
    type Change = fn(&mut TemplateSpec);
    let cases: &[(&str, Change)] = &[
        ("spec.args", |s| s.args = vec![b"a\0".to_vec()]),
        ("spec.args", |s| s.args = vec![Vec::new(); 1001]),
        ("spec.preloads", |s| s.preloads = vec![String::new(); 1001]),
        ("spec.env", |s| {
            s.env = vec![env_directive::Set::default()];
        }),
        ("spec.env", |s| {
            s.env = vec![env_directive::Set {
                name: b"MPFORK_LINK".to_vec(),
                value: b"3".to_vec(),
            }];
        }),
        ("spec.env", |s| {
            s.env = vec![env_directive::Set {
                name: b"A=B".to_vec(),
                value: Vec::new(),
            }];
        }),
        ("spec.env", |s| {
            s.env = vec![set("A", "1"), set("B", "1"), set("A", "1")];
        }),
        ("spec.rlimits", |s| {
            s.rlimits = vec![Rlimit {
                resource: 4,
                soft: 2,
                hard: 1,
            }];
        }),
    ];
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        for (field, change) in cases {
            let mut spec = template(&program, &[]);
            change(&mut spec);
            refused_field(client.try_register(&program, spec).await, field);
        }
        let register = async |spec| {
            let request = RegisterTemplateRequest { spec };
            client.templates().register_template(request).await
        };
        refused_field(register(None).await, "spec");
        let spec = TemplateSpec::default();
        let problem = refused_field(register(Some(spec.clone())).await, "spec.program_path");
        assert!(problem.get("detail").contains("absolute"), "{problem}");
        let spec = TemplateSpec {
            program: Some(Descriptor {
                connection: client.connection.id(),
                number: 99,
            }),
            ..spec
        };
        refused(register(Some(spec)).await, Reason::DescriptorMissing);
        assert_eq!(client.status().await.templates.len(), 1);
    });
}

#[test]
fn without_a_descriptor_the_daemon_opens_the_program() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let register = async |program: &Path| {
            let spec = Some(template(program, &[]));
            let request = RegisterTemplateRequest { spec };
            client.templates().register_template(request).await
        };
        let program = test_program();
        let digest = register(&program).await.unwrap().into_inner().digest;
        assert_eq!(digest, client.register(&program, &[]).await);
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
        let gate = daemon.gate();
        let name = program.file_name().unwrap();
        for (path, reason) in [
            (Path::new(name), Reason::BadRequest),
            (Path::new("/nowhere/at/all"), Reason::ProgramRefused),
            (Path::new("/etc/passwd"), Reason::ProgramRefused),
            // Nobody writes to it: whoever opened it to read it would wait for ever.
            (Path::new(&gate), Reason::ProgramRefused),
        ] {
            refused(register(path).await, reason);
        }
    });
}

#[test]
fn a_preload_that_does_not_exist_is_a_bad_request_when_warmed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        let spec = TemplateSpec {
            all_preloads: false,
            preloads: vec!["counted".to_owned(), "nonsense".to_owned()],
            ..template(&program, &[])
        };
        let digest = client.try_register(&program, spec).await.unwrap().digest;
        let problem = refused_field(client.warm(&digest).await, "preloads");
        assert!(problem.get("detail").contains("nonsense"), "{problem}");
    });
}

#[test]
fn where_descriptors_do_not_pass_the_very_same_program_is_found_by_its_path() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let sent = client.register(&test_program(), &[]).await;
        let path = daemon.path("copied");
        programs::copy(&path);
        let bytes = std::fs::read(&path).unwrap();
        let by_path = |path: &std::path::Path, sha256: &[u8]| RegisterTemplateRequest {
            spec: Some(TemplateSpec {
                program_sha256: sha256.to_vec(),
                ..template(path, &[])
            }),
        };
        let register = async |request| {
            let answer = client.templates().register_template(request).await;
            answer.map(|answer| answer.into_inner().digest)
        };
        let sha256 = sha2::Sha256::digest(&bytes);
        assert_eq!(register(by_path(&path, &sha256)).await.unwrap(), sent);
        // Rebuilt meanwhile: a function's place in it would be another one.
        rebuild(&path);
        let problem = refused(
            register(by_path(&path, &sha256)).await,
            Reason::ProgramRefused,
        );
        assert!(
            problem.get("detail").contains("another program"),
            "{problem}"
        );
        let nowhere = by_path(&daemon.path("nowhere"), &sha256);
        refused(register(nowhere).await, Reason::ProgramRefused);
        let folder = by_path(daemon.folder().path(), &sha256);
        refused(register(folder).await, Reason::ProgramRefused);
        // Nobody waits for a writer.
        let gate = daemon.gate();
        let gate = by_path(gate.as_ref(), &sha256);
        refused(register(gate).await, Reason::ProgramRefused);
        let relative = by_path("copied".as_ref(), &sha256);
        refused_field(register(relative).await, "spec.program_path");
    });
}
