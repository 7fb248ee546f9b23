use super::*;
use proptest::prelude::*;

/// What may happen to a pair of books, the sender's outbox and the receiver's inbox.
#[derive(Debug, Clone)]
enum Step {
    /// Queue this many, if credit allows.
    Queue(u32),
    /// One message, with up to this many.
    Send(usize),
    /// Claim the nth of those that lie in the inbox.
    Claim(prop::sample::Index),
    /// The acknowledgement, if it is due, gets through.
    Acknowledge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u32..8).prop_map(Step::Queue),
        (1usize..10).prop_map(Step::Send),
        any::<prop::sample::Index>().prop_map(Step::Claim),
        Just(Step::Acknowledge),
    ]
}

proptest! {
    #[test]
    fn the_books_of_both_sides_agree(
        credit in 1u32..20,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut outbox = Outbox::new();
        let mut inbox = Inbox::new(credit as usize);
        let mut left = u64::from(credit);
        let mut value = 0u64;
        let mut lying = Vec::new();
        let mut arrived = 0;
        for step in steps {
            match step {
                Step::Queue(count) => for _ in 0..count {
                    if left == 0 { break; }
                    left -= 1;
                    prop_assert_eq!(outbox.push(value), value);
                    value += 1;
                },
                Step::Send(count) => {
                    let front: Vec<u64> = outbox.front(count).copied().collect();
                    let sent = outbox.sent(count);
                    prop_assert_eq!(&front, &sent);
                    for value in &sent {
                        prop_assert_eq!(*value, arrived);
                        lying.push(arrived);
                        arrived += 1;
                    }
                    // Whoever keeps to the credit never floods.
                    prop_assert_eq!(inbox.arrive(sent), Ok(()));
                }
                Step::Claim(index) => if !lying.is_empty() {
                    let number = lying.swap_remove(index.index(lying.len()));
                    prop_assert_eq!(inbox.take(number), Ok(number));
                    prop_assert_eq!(inbox.take(number), Err(Missing::Taken));
                },
                Step::Acknowledge => {
                    if let Some(total) = inbox.acknowledgement(acknowledgement_step(credit).into()) {
                        left += outbox.acknowledge(total).unwrap();
                        prop_assert_eq!(outbox.acknowledge(total), Ok(0));
                    }
                }
            }
            prop_assert!(left <= u64::from(credit));
            prop_assert_eq!(inbox.take(arrived), Err(Missing::NotArrived));
            let never = outbox.acknowledge(arrived + 1);
            prop_assert_eq!(never, Err(NeverSent { sent: arrived }));
        }
        // Everything sent and claimed: the largest set gets credit, or the sender would wait for ever.
        let rest = outbox.sent(usize::MAX);
        arrived += rest.len() as u64;
        prop_assert_eq!(inbox.arrive(rest), Ok(()));
        prop_assert_eq!(arrived, value);
        for number in inbox.waiting.keys().copied().collect::<Vec<_>>() {
            prop_assert!(inbox.take(number).is_ok());
        }
        if let Some(total) = inbox.acknowledgement(acknowledgement_step(credit).into()) {
            left += outbox.acknowledge(total).unwrap();
        }
        prop_assert!(left >= u64::from(largest_acknowledged_set(credit)));
    }

    #[test]
    fn a_flood_is_noticed_at_once(limit in 0usize..50, bursts in prop::collection::vec(0usize..20, 1..20)) {
        let mut inbox = Inbox::new(limit);
        let mut unclaimed = 0;
        for burst in bursts {
            unclaimed += burst;
            let arrival = inbox.arrive(std::iter::repeat_n((), burst));
            if unclaimed > limit {
                prop_assert_eq!(arrival, Err(Overflow { unclaimed, allowed: limit }));
                prop_assert_eq!(inbox.clear().len(), unclaimed);
                break;
            }
            prop_assert_eq!(arrival, Ok(()));
        }
    }
}

#[test]
fn acknowledgements_may_overtake_each_other() {
    let mut outbox = Outbox::new();
    for _ in 0..4 {
        outbox.push(());
    }
    outbox.settle(1);
    assert_eq!(outbox.acknowledge(1), Err(NeverSent { sent: 0 }));
    outbox.sent(4);
    assert_eq!(outbox.acknowledge(4), Ok(3));
    assert_eq!(outbox.acknowledge(2), Ok(0));
}

#[test]
fn the_largest_set_of_any_credit() {
    assert_eq!(largest_acknowledged_set(0), 0);
    assert_eq!(largest_acknowledged_set(1), 1);
    assert_eq!(largest_acknowledged_set(2), 2);
    assert_eq!(largest_acknowledged_set(3), 3);
    assert_eq!(largest_acknowledged_set(255), 129);
    assert_eq!(largest_acknowledged_set(256), 129);
    for credit in 1..5000 {
        assert!((1..=credit).contains(&largest_acknowledged_set(credit)));
    }
}
