//! Which texts are addresses, and which addresses are the same.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

fn shown(text: &str) -> String {
    email("email", text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"))
}

#[test]
fn an_address_is_shown_trimmed_and_in_lower_case() {
    for spelling in ["jane@example.com", " JANE@Example.COM ", "ｊａｎｅ＠example.com", "Jane@EXAMPLE.com\n"] {
        assert_eq!(shown(spelling), "jane@example.com", "{spelling:?}");
    }
}

#[test]
fn a_final_sigma_is_shown_and_counts_as_any_other() {
    assert_eq!(shown("n@παράδεισος.example.com"), "n@παράδεισος.example.com");
    assert_eq!(shown("N@ΠΑΡΆΔΕΙΣΟΣ.EXAMPLE.COM"), "n@παράδεισοσ.example.com");
    let all = [
        "n@παράδεισος.example.com",
        "N@ΠΑΡΆΔΕΙΣΟΣ.EXAMPLE.COM",
        "n@xn--hxajkeu0bbjoi.example.com",
        "n@xn--hxajkeu0bbjwb.example.com",
    ];
    assert_eq!(all.map(email_key), ["n@xn--hxajkeu0bbjwb.example.com"; 4]);
    assert_eq!(email_key("ΟΔΥΣΣΕΎΣ@example.com"), email_key("οδυσσεύς@example.com"));
}

#[test]
fn a_domain_in_unicode_and_in_punycode_is_one() {
    for (unicode, ascii) in [
        ("x@münchen.de", "x@xn--mnchen-3ya.de"),
        ("x@faß.de", "x@xn--fa-hia.de"),
        ("संपर्क@डाटामेल.भारत", "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"),
        ("x@例え.テスト", "x@xn--r8jz45g.xn--zckzah"),
        // A zero width non-joiner, as used in Persian.
        ("x@نامه\u{200c}ای.com", "x@xn--mgba3gch31f060k.com"),
    ] {
        assert_eq!((shown(unicode).as_str(), shown(ascii).as_str()), (unicode, ascii));
        assert_eq!((email_key(unicode), email_key(ascii)), (ascii.to_owned(), ascii.to_owned()), "{unicode}");
    }
    assert_ne!(email_key("x@faß.de"), email_key("x@fass.de"), "two domains");
    assert_eq!(
        spellings("x@Münch.de".to_lowercase().as_str()),
        ["x@münch.de", "x@xn--mnch-0ra.de"],
        "{}",
        email_key("x@münch.de")
    );
    assert_eq!(spellings("jane@example.com"), ["jane@example.com"]);
}

#[test]
fn an_address_may_be_of_any_script() {
    for text in [
        "संपर्क@डाटामेल.भारत",
        "தமிழ்@எடுத்துக்காட்டு.இந்தியா",
        "สมชาย.ใจดี@ตัวอย่าง.ไทย",
        "မြန်မာ@ဥပမာ.com",
        "olúwaṣẹ\u{301}gun@ọjà.com",
        "ọ\u{300}jọ\u{301}gbọ\u{301}n@example.com",
        "用户@例子.广告",
        "홍길동@example.kr",
        "علی۱۲@مثال.إختبار",
        "דוד@example.com",
        "дмитрий+news@почта.рф",
        // Joiners where the script needs them: after a virama, and between letters that would otherwise join.
        "\u{d23}\u{d4d}\u{200d}@example.com",
        "شركت\u{200c}ها@example.com",
    ] {
        let expected: String = text.nfkc().collect();
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let label = "a".repeat(64);
    let domain = vec!["a".repeat(50); 6].join(".");
    for text in [
        "",
        "@",
        "jane",
        "jane@",
        "@example.com",
        "jane@example",
        "jane@example.com.",
        "jane@example..com",
        "ja ne@example.com",
        "ja\u{200b}ne@example.com",
        "jane@exa\u{200b}mple.com",
        "jane@exam\u{180b}ple.com",
        "jane@example\u{3002}com",
        "\"jane\"@example.com",
        "jane@[192.0.2.1]",
        "jane..d@example.com",
        ".jane@example.com",
        "jane.@example.com",
        "Jane <jane@example.com>",
        "jane@example.com\0",
        "jane@-example.com",
        "jane@example-.com",
        "jane@exam_ple.com",
        "jane@xn--a.com",
        "a@b@c.com",
        "a@b＠c.com",
        "jane@deleted.invalid",
        "jane@DELETED.invalid",
        // Direction marks, and letters of both directions in one word.
        "\u{202e}jane@example.com",
        "jane\u{2067}@example.com",
        "janeדוד@example.com",
        "x@abcדוד.com",
        // A mark without a letter before it.
        "\u{301}jane@example.com",
        "jane.\u{301}a@example.com",
        "jane+\u{94d}@example.com",
        "x@\u{301}a.com",
        // Joiners where no script needs them.
        "ja\u{200d}ne@example.com",
        "ja\u{200c}ne@example.com",
        "x@exa\u{200d}mple.com",
        "jane\u{e000}@example.com",
        "☃@example.com",
        &format!("x@{label}.com"),
        &format!("{label}a@example.com"),
        &format!("x@{domain}.com"),
        &format!("x@{}.com", "ü".repeat(60)),
        &format!("{}@example.com", "a".repeat(300)),
        &"a".repeat(1_000_000),
    ] {
        assert!(email("email", text).is_err(), "{text:?}");
    }
}

#[test]
fn only_an_address_has_the_shape_of_one() {
    assert_eq!(address_shaped(" Jane@Example.com ").as_deref(), Some("jane@example.com"));
    let long = format!("{}@example.com", "a".repeat(254));
    for text in ["", "correct horse battery staple", "p@ssword", "jane@example.com hunter2", "a\0@example.com", &long] {
        assert_eq!(address_shaped(text), None, "{text:?}");
    }
}

/// Characters that have rules for case, normalization, scripts or domains, and any others.
fn character() -> impl Strategy<Value = char> {
    let odd: Vec<char> = "aAzZ09@@.-+_ σςΣßẞıİſKÅüÜéΰᾳŉǰﬁ＠．。①²æœ\u{301}\u{308}\u{345}\u{323}\u{200c}\u{200d}\u{ad}\u{a8}\u{3000}\u{94d}नमसभारतกำᄀ가한נﷺﷲ\u{feff}ꭰᏰ"
        .chars()
        .collect();
    prop_oneof![4 => prop::sample::select(odd), 1 => any::<char>()]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(character(), 0..24).prop_map(String::from_iter)
}

/// Texts, many of which are addresses.
fn address() -> impl Strategy<Value = String> {
    let part = || {
        let letters: Vec<char> =
            "aAz0-σςΣßẞıİſKÅüÜéΰᾳŉǰﬁ②²æœ\u{301}\u{308}\u{323}\u{94d}नमसभारतกำ가한ﬅꭰᏰ".chars().collect();
        prop::collection::vec(prop::sample::select(letters), 1..6).prop_map(String::from_iter)
    };
    (part(), part(), any::<bool>()).prop_map(|(local, domain, ascii)| {
        let domain = if ascii { ascii_domain(&domain).unwrap_or(domain) } else { domain };
        format!("{local}@{domain}.example.com")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn what_is_shown_is_shown_of_itself_and_has_the_same_key(text in prop_oneof![text(), address()]) {
        let shown = normalize_email(&text);
        prop_assert_eq!(&normalize_email(&shown), &shown);
        prop_assert_eq!(email_key(&shown), email_key(&text));
    }

    #[test]
    fn the_key_of_an_address_is_its_own_key(text in address()) {
        if let Ok(shown) = email("email", &text) {
            let key = email_key(&shown);
            prop_assert_eq!(&email_key(&key), &key);
            prop_assert!(key.rsplit_once('@').unwrap().1.is_ascii());
            prop_assert!(spellings(&shown).contains(&key));
        }
    }
}

/// Makes sure that the properties above cover real addresses.
#[test]
fn many_of_the_texts_are_addresses() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut valid = 0;
    for _ in 0..200 {
        let text = address().new_tree(&mut runner).unwrap().current();
        valid += usize::from(email("email", &text).is_ok());
    }
    assert!(valid > 50, "{valid} of 200");
}
