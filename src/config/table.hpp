// The option table: one row an option, from which flags, environment variables, TOML keys, --help
// and --print-config all come. A row writes straight into the field of an options struct; the
// field's value when the row is made is the default.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace ztna::config {

// How a value is written: decides the TOML type, and whether the flag takes a value.
enum class Kind : std::uint8_t { toggle, number, text, path, list };

struct Option {
  std::string name;  // the flag without dashes, and the TOML key
  Kind kind = Kind::text;
  std::string meta;  // the value's form, as in ADDR:PORT; empty for toggles
  std::string help;
  std::string group;
  std::vector<std::string> initial;              // the default, as it would be written; empty: none
  std::string initial_note;                      // shown instead of `initial` when it is computed
  std::vector<std::string> aliases;              // further flags and keys
  std::vector<std::string> environment_aliases;  // variables that ZTNA_<NAME> wins over
  std::function<void()> clear;  // lists only: before the first `set`, so that the default goes
  // Takes one value; called for each of a list. The error's `where` is left empty.
  std::function<base::Status(const std::string& value)> set;

  Option& alias(std::string flag) { return aliases.push_back(std::move(flag)), *this; }
  Option& variable(std::string other) {
    return environment_aliases.push_back(std::move(other)), *this;
  }
  Option& note(std::string text) { return initial_note = std::move(text), *this; }
};

struct Program {
  std::string name;
  std::string summary;
  std::string examples;  // indented lines
};

class Table {
 public:
  void group(std::string name) { group_ = std::move(name); }

  Option& toggle(std::string name, bool& into, std::string help);
  Option& text(std::string name, std::string meta, std::string& into, std::string help);
  Option& path(std::string name, std::string meta, std::string& into, std::string help);
  Option& duration(std::string name, base::Duration& into, base::Duration least,
                   base::Duration most, std::string help);
  template <class Integer>
  Option& number(std::string name, Integer& into, Integer least, Integer most, std::string help) {
    return number_row(
        std::move(name), into, least, most,
        [&into](std::uint64_t value) { into = static_cast<Integer>(value); }, std::move(help));
  }
  template <class Enum>
  Option& choice(std::string name, Enum& into, std::vector<std::pair<std::string, Enum>> values,
                 std::string help);
  // "ADDR:PORT" (0 is any free port) or "off".
  Option& optional_address(std::string name, std::optional<base::Address>& into, std::string help);
  // An IP address without a port, or "any".
  Option& ip_or_any(std::string name, std::optional<base::Address>& into, std::string help);
  // Eight octets in hexadecimal, 0x before them or not, or "none".
  Option& octets(std::string name, std::optional<std::array<std::uint8_t, 8>>& into,
                 std::string help);
  // `parse` takes one element; T has to_string().
  template <class T>
  Option& list(std::string name, std::string meta, std::vector<T>& into,
               base::Result<T> (*parse)(const std::string&), std::string help);

  [[nodiscard]] const std::deque<Option>& rows() const { return rows_; }
  // By name or alias; null when there is none.
  [[nodiscard]] const Option* find(std::string_view name) const;

 private:
  Option& add(std::string name, Kind kind, std::string meta, std::vector<std::string> initial,
              std::function<base::Status(const std::string&)> set, std::string help);
  Option& number_row(std::string name, std::uint64_t initial, std::uint64_t least,
                     std::uint64_t most, std::function<void(std::uint64_t)> assign,
                     std::string help);
  Option& choice_row(std::string name, std::size_t initial, std::vector<std::string> names,
                     std::function<void(std::size_t)> assign, std::string help);

  std::string group_;
  std::deque<Option> rows_;  // references to rows stay valid
};

template <class Enum>
Option& Table::choice(std::string name, Enum& into,
                      std::vector<std::pair<std::string, Enum>> values, std::string help) {
  std::vector<std::string> names;
  std::size_t initial = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    names.push_back(values[i].first);
    if (values[i].second == into) initial = i;
  }
  auto assign = [&into, values = std::move(values)](std::size_t i) { into = values[i].second; };
  return choice_row(std::move(name), initial, std::move(names), std::move(assign), std::move(help));
}

template <class T>
Option& Table::list(std::string name, std::string meta, std::vector<T>& into,
                    base::Result<T> (*parse)(const std::string&), std::string help) {
  std::vector<std::string> initial;
  for (const T& item : into) initial.push_back(item.to_string());
  auto set = [&into, parse](const std::string& text) -> base::Status {
    auto item = parse(text);
    if (!item) return tl::unexpected(item.error());
    into.push_back(std::move(*item));
    return {};
  };
  Option& option = add(std::move(name), Kind::list, std::move(meta), std::move(initial),
                       std::move(set), std::move(help));
  option.clear = [&into] { into.clear(); };
  return option;
}

// "p2p-listen-port" is ZTNA_P2P_LISTEN_PORT.
[[nodiscard]] std::string environment_name(std::string_view option);

}  // namespace ztna::config
