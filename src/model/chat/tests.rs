//! Templates written for this test, with the texts that transformers 5.23 made of them.

use super::*;

fn messages(list: &[(&str, &str)]) -> Vec<Message> {
    let message = |(role, content): &(&str, &str)| Message {
        role: (*role).to_owned(),
        content: (*content).to_owned(),
    };
    list.iter().map(message).collect()
}

fn template(source: &str) -> ChatTemplate {
    let named = [("bos_token".to_owned(), "<s>".to_owned())];
    ChatTemplate::new(source, named.into()).unwrap()
}

const TURNS: &str = "{{ bos_token }}{% for m in messages %}\n\
    [{{ m['role'] }}]{{ m.content.strip() }}\n{% endfor %}\n\
    {%- if add_generation_prompt %}[assistant]{% endif %}\n";

#[test]
fn a_chat_is_rendered_as_jinja_does_in_transformers() {
    let template = template(TURNS);
    let chat = messages(&[("system", " Be brief. "), ("user", "Hi")]);
    let text = template.render(&chat, &ChatOptions::default()).unwrap();
    assert_eq!(text, "<s>[system]Be brief.\n[user]Hi\n[assistant]");
}

#[test]
fn the_answer_goes_on_where_the_last_message_ends() {
    let template = template(TURNS);
    let options = ChatOptions { continues: true, ..ChatOptions::default() };
    let chat = messages(&[("user", "Hi"), ("assistant", "Answer:")]);
    let text = template.render(&chat, &options).unwrap();
    assert_eq!(text, "<s>[user]Hi\n[assistant]Answer:");
    let trimmed = messages(&[("user", "Hi"), ("assistant", "Answer: ")]);
    assert_eq!(template.render(&trimmed, &options).unwrap(), text, "the template trims it");
    let dropping = self::template("{{ messages[0].content }}");
    let why = dropping.render(&chat, &options).unwrap_err();
    assert!(why.contains("leaves out or changes the last message"), "{why}");
}

#[test]
fn values_are_written_as_python_writes_them() {
    let template = template(
        "{{ none }} {{ true }} {{ tools }} {{ x | tojson }} {{ 1.0 }} {{ messages[0] | tojson(indent=2) }}",
    );
    let list = ChatValue::from(vec![ChatValue::from(1), "<é>'".into()]);
    let x = ChatValue::from_pairs([("b", list), ("a", true.into())]);
    let options = ChatOptions { variables: [("x".to_owned(), x)].into(), ..ChatOptions::default() };
    let text = template.render(&messages(&[("user", "Hi")]), &options).unwrap();
    let json = r#"None True None {"b": [1, "<é>'"], "a": true} 1.0"#;
    let indented = "{\n  \"role\": \"user\",\n  \"content\": \"Hi\"\n}";
    assert_eq!(text, format!("{json} {indented}"));
}

#[test]
fn nothing_is_not_iterable_as_in_python() {
    let template = template(
        "{{ tools is iterable }} {{ missing is iterable }} {{ 'a' is iterable }} {{ 1 is iterable }}",
    );
    let text = template.render(&messages(&[("user", "Hi")]), &ChatOptions::default()).unwrap();
    assert_eq!(text, "False True True False");
}

#[test]
fn the_day_is_the_one_that_is_given() {
    let template = template("{{ strftime_now('%d %b %Y, %A') }}");
    let chat = messages(&[("user", "Hi")]);
    let why = template.render(&chat, &ChatOptions::default()).unwrap_err();
    assert!(why.contains("asks for the date: give one as `date: 2026-01-31`"), "{why}");
    let options = ChatOptions { date: "2026-11-05".parse().ok(), ..ChatOptions::default() };
    assert_eq!(template.render(&chat, &options).unwrap(), "05 Nov 2026, Thursday");
    let unknown = self::template("{{ strftime_now('%!') }}");
    assert!(unknown.render(&chat, &options).unwrap_err().contains("is not known"));
}

#[test]
fn a_template_that_refuses_or_does_not_end_is_an_error() {
    let chat = messages(&[("tool", "Hi")]);
    let render = |source: &str| template(source).render(&chat, &ChatOptions::default());
    let why = render("{{ raise_exception('No ' + messages[0].role + ' here') }}").unwrap_err();
    assert_eq!(why, "No tool here (line 1 of the template)");
    let nested =
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}";
    assert!(render(nested).is_err());
    assert!(render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").is_err());
    let why = ChatTemplate::new("{% for %}", BTreeMap::new()).unwrap_err();
    assert!(why.contains("line 1 of the template"), "{why}");
}

#[test]
fn a_conversation_that_comes_out_otherwise_is_shown_where_it_differs() {
    let conversation = |text: &str| Conversation {
        messages: messages(&[("user", "Hi")]),
        add_generation_prompt: true,
        continue_final: false,
        date: None,
        text: text.to_owned(),
        ids: Vec::new(),
    };
    let template = template(TURNS);
    template.prove(&conversation("<s>[user]Hi\n[assistant]")).unwrap();
    let why = template.prove(&conversation("<s>[user]Hi [assistant]")).unwrap_err();
    assert!(why.contains("at character 11"), "{why}");
}
