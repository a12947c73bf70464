// Checks mails: reads {name: html} as JSON from standard input and writes, for each, what html-validate finds and which
// features some mail program does not know (caniemail): {name: {html: [message], unknown: {feature: [mail program]}}}.
import { readFileSync } from "node:fs";
import { caniemail } from "caniemail";
import { HtmlValidate, StaticConfigLoader } from "html-validate";

const validator = new HtmlValidate(
  new StaticConfigLoader({
    extends: ["html-validate:recommended"],
    rules: {
      // Mail programs drop style blocks and know tables and attributes of 1999 better than CSS.
      "no-inline-style": "off",
      "no-deprecated-attr": "off",
      "prefer-native-element": "off",
      // Outlook on Windows gets its fixed width by a conditional comment.
      "no-conditional-comment": "off",
      // Matters of taste, in both cases.
      "prefer-tbody": "off",
      "doctype-style": "off",
      // The title is the mail's subject, a headline as published.
      "long-title": "off",
    },
  }),
);
// Those whose data has every feature asked about; Thunderbird's has not, and shows what a browser shows.
const programs = ["aol.*", "apple-mail.*", "fastmail.*", "gmail.*", "hey.*", "outlook.*", "protonmail.*", "samsung-email.*", "yahoo.*"];

const found = {};
for (const [name, html] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const report = await validator.validateString(html, `${name}.html`);
  const messages = report.results.flatMap((result) => result.messages);
  const unknown = {};
  // The style block only improves on the mail, so what is in it may be unknown.
  const bare = html.replace(/<style>.*?<\/style>/s, "");
  for (const [program, issues] of caniemail({ clients: programs, html: bare }).issues.errors) {
    for (const { title } of issues) (unknown[title] ??= new Set()).add(program);
  }
  found[name] = {
    html: messages.map((m) => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`),
    unknown: Object.fromEntries(Object.entries(unknown).map(([title, names]) => [title, [...names].sort()])),
  };
}
process.stdout.write(JSON.stringify(found));
