// policy.toml into a Policy. The one file that includes toml++.
#include <algorithm>

#include "base/bytes.hpp"
#include "base/toml.hpp"
#include "policy/glob.hpp"
#include "policy/policy.hpp"

namespace ztna::policy {

class PolicyReader {
 public:
  explicit PolicyReader(std::string where) : where_(std::move(where)) {}

  base::Result<Policy> read(std::string_view text) {
    const base::Result<std::string> ascii = without_other_scripts(text);
    if (!ascii) return tl::unexpected(ascii.error());
    const toml::parse_result parsed = toml::parse(*ascii);
    if (!parsed) {
      return fail(parsed.error().source(), std::string(parsed.error().description()));
    }
    for (const auto& [key, node] : parsed.table()) {
      const auto read = read_section(key, node);
      if (!read) return tl::unexpected(read.error());
    }
    return std::move(policy_);
  }

 private:
  [[nodiscard]] tl::unexpected<base::Error> fail(const toml::source_region& at,
                                                 std::string what) const {
    return base::fail(
        base::ErrorCode::invalid_argument, std::move(what),
        where_ + ":" + std::to_string(at.begin.line) + ":" + std::to_string(at.begin.column));
  }

  // toml++ 3.3 runs into undefined behaviour on some characters beyond ASCII. A policy needs them
  // in comments only, where they become '?'. What follows a '#' inside of a string is no comment,
  // but no name holds a '#' either.
  [[nodiscard]] base::Result<std::string> without_other_scripts(std::string_view text) const {
    std::string ascii(text);
    toml::source_region at{{1, 1}, {1, 1}, nullptr};
    bool comment = false;
    for (char& c : ascii) {
      const bool is_ascii = static_cast<unsigned char>(c) < 0x80;
      if (c == '#') comment = true;
      if (!is_ascii && !comment) {
        return fail(at, "a character beyond ASCII stands here, expected names of a-z, 0-9 and -");
      }
      if (!is_ascii) c = '?';
      ++at.begin.column;
      if (c != '\n') continue;
      comment = false;
      at.begin = {at.begin.line + 1, 1};
    }
    return ascii;
  }

  static std::string quoted(std::string_view text) {
    return "\"" + identity::printable(text) + "\"";
  }

  base::Status read_section(const toml::key& key, const toml::node& node) {
    const std::string_view name = key.str();
    if (name != "serve" && name != "allow" && name != "prove" && name != "revoke") {
      return fail(key.source(), "unknown key " + quoted(name) +
                                    ", expected [[serve]], [[allow]], [[prove]] or [[revoke]]");
    }
    const std::string brackets = "[[" + std::string(name) + "]]";
    const toml::array* const blocks = node.as_array();
    if (blocks == nullptr) {
      return fail(key.source(), std::string(name) + " is not a list of blocks, expected " +
                                    brackets + " before each block");
    }
    std::size_t number = 0;
    for (const toml::node& block : *blocks) {
      const toml::table* const table = block.as_table();
      if (table == nullptr) {
        return fail(block.source(), std::string(name) + " holds something else than blocks, " +
                                        "expected " + brackets);
      }
      const std::string label = std::string(name) + "[" + std::to_string(++number) + "] at " +
                                where_ + ":" + std::to_string(table->source().begin.line);
      const auto read = read_block(name, *table, label);
      if (!read) return read;
    }
    return {};
  }

  base::Status read_block(std::string_view section, const toml::table& block,
                          const std::string& label) {
    if (section == "revoke") return read_revocation(block, label);
    const std::string subjects = section == "serve" ? "connectors" : "agents";
    const auto known = check_keys(block, section, {subjects, "services"});
    if (!known) return known;
    Policy::Rule rule;
    rule.label = label;
    const auto names = read_patterns(block, section, subjects, rule.subjects);
    if (!names) return names;
    const auto services = read_patterns(block, section, "services", rule.services);
    if (!services) return services;
    rules_of(section).push_back(std::move(rule));
    return {};
  }

  std::vector<Policy::Rule>& rules_of(std::string_view section) {
    return section == "serve"   ? policy_.serve_
           : section == "allow" ? policy_.allow_
                                : policy_.prove_;
  }

  base::Status read_revocation(const toml::table& block, const std::string& label) {
    const auto known = check_keys(block, "revoke", {"spki"});
    if (!known) return known;
    const std::string expected =
        "64 hexadecimal digits, the SHA-256 of the public key (ztna ca list)";
    const toml::node* const value = block.get("spki");
    if (value == nullptr) {
      return fail(block.source(), "[[revoke]] lacks the key \"spki\", expected " + expected);
    }
    const toml::value<std::string>* const text = value->as_string();
    Policy::Revocation revocation{{}, label};
    if (text == nullptr || !base::from_hex(text->get(), revocation.spki)) {
      return fail(value->source(), "spki in [[revoke]] is malformed, expected " + expected);
    }
    policy_.revoke_.push_back(std::move(revocation));
    return {};
  }

  [[nodiscard]] base::Status check_keys(const toml::table& block, std::string_view section,
                                        const std::vector<std::string>& known) const {
    for (const auto& [key, node] : block) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      std::string expected = known.front();
      if (known.size() > 1) expected += " or " + known.back();
      return fail(key.source(), "unknown key " + quoted(key.str()) + " in [[" +
                                    std::string(section) + "]], expected " + expected);
    }
    return {};
  }

  base::Status read_patterns(const toml::table& block, std::string_view section,
                             const std::string& key, std::vector<std::string>& out) const {
    const std::string here = key + " in [[" + std::string(section) + "]]";
    const std::string example = "a list of names or patterns, like [\"home-*\"]";
    const toml::node* const value = block.get(key);
    if (value == nullptr) {
      return fail(block.source(), "[[" + std::string(section) + "]] lacks the key \"" + key +
                                      "\", expected " + example);
    }
    const toml::array* const list = value->as_array();
    if (list == nullptr || list->empty()) {
      std::string what = here + (list == nullptr ? " is not a list" : " is empty");
      what += ", expected " + example;
      return fail(value->source(), std::move(what));
    }
    for (const toml::node& entry : *list) {
      const toml::value<std::string>* const text = entry.as_string();
      if (text == nullptr) {
        std::string what = here + " holds something else than text";
        what += ", expected " + example;
        return fail(entry.source(), std::move(what));
      }
      if (!is_valid_glob(text->get())) {
        return fail(entry.source(), quoted(text->get()) + " in " + here +
                                        " is no name or pattern, expected 1 to 63 of a-z, 0-9, - "
                                        "and * (any characters)");
      }
      out.push_back(text->get());
    }
    return {};
  }

  std::string where_;
  Policy policy_;
};

base::Result<Policy> Policy::parse(std::string_view text, std::string where) {
  return PolicyReader(std::move(where)).read(text);
}

}  // namespace ztna::policy
