#include "config/table.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

// Stores what a parser found, or hands its error on.
template <class T, class Into>
base::Status assign(const base::Result<T>& parsed, Into& into) {
  if (!parsed) return tl::unexpected(parsed.error());
  into = *parsed;
  return {};
}

base::Status take_text(const std::string& value, const std::string& meta, std::string& into) {
  if (value.empty()) {
    return base::fail(base::ErrorCode::invalid_argument, "is empty, expected " + meta);
  }
  if (value.find('\0') != std::string::npos) {
    return base::fail(base::ErrorCode::invalid_argument, in_quotes(value) + " holds a zero octet");
  }
  into = value;
  return {};
}

std::vector<std::string> unless_empty(const std::string& text) {
  if (text.empty()) return {};
  return {text};
}

}  // namespace

Option& Table::add(std::string name, Kind kind, std::string meta, std::vector<std::string> initial,
                   std::function<base::Status(const std::string&)> set, std::string help) {
  Option option;
  option.name = std::move(name);
  option.kind = kind;
  option.meta = std::move(meta);
  option.help = std::move(help);
  option.group = group_;
  option.initial = std::move(initial);
  option.set = std::move(set);
  return rows_.emplace_back(std::move(option));
}

const Option* Table::find(std::string_view name) const {
  const auto row = std::ranges::find_if(rows_, [&](const Option& option) {
    return option.name == name || std::ranges::find(option.aliases, name) != option.aliases.end();
  });
  return row == rows_.end() ? nullptr : &*row;
}

Option& Table::toggle(std::string name, bool& into, std::string help) {
  auto set = [&into](const std::string& value) { return assign(parse_toggle(value), into); };
  return add(std::move(name), Kind::toggle, {}, {into ? "true" : "false"}, std::move(set),
             std::move(help));
}

Option& Table::text(std::string name, std::string meta, std::string& into, std::string help) {
  auto set = [&into, meta](const std::string& value) { return take_text(value, meta, into); };
  return add(std::move(name), Kind::text, std::move(meta), unless_empty(into), std::move(set),
             std::move(help));
}

Option& Table::path(std::string name, std::string meta, std::string& into, std::string help) {
  Option& option = text(std::move(name), std::move(meta), into, std::move(help));
  option.kind = Kind::path;
  return option;
}

Option& Table::duration(std::string name, base::Duration& into, base::Duration least,
                        base::Duration most, std::string help) {
  auto set = [&into, least, most](const std::string& value) {
    return assign(parse_duration(value, least, most), into);
  };
  return add(std::move(name), Kind::text, "TIME", {format_duration(into)}, std::move(set),
             std::move(help));
}

Option& Table::optional_address(std::string name, std::optional<base::Address>& into,
                                std::string help) {
  auto set = [&into](const std::string& text) -> base::Status {
    into.reset();
    if (text == "off") return {};
    const auto address = parse_address(text, true);
    if (!address) {
      return base::fail(base::ErrorCode::invalid_argument, address.error().what + ", or off");
    }
    into = *address;
    return {};
  };
  return add(std::move(name), Kind::text, "ADDR:PORT|off", {into ? into->to_string() : "off"},
             std::move(set), std::move(help));
}

Option& Table::octets(std::string name, std::optional<std::array<std::uint8_t, 8>>& into,
                      std::string help) {
  auto set = [&into](const std::string& text) -> base::Status {
    into.reset();
    if (text == "none") return {};
    std::array<std::uint8_t, 8> octets{};
    if (!base::from_hex(std::string_view(text).substr(text.starts_with("0x") ? 2 : 0), octets)) {
      return base::fail(base::ErrorCode::invalid_argument,
                        in_quotes(text) +
                            " is not 16 hexadecimal digits, expected 8 octets such "
                            "as 0x00000000000000a1, or none");
    }
    into = octets;
    return {};
  };
  return add(std::move(name), Kind::text, "HEX|none", {into ? base::to_hex(*into) : "none"},
             std::move(set), std::move(help));
}

Option& Table::ip_or_any(std::string name, std::optional<base::Address>& into, std::string help) {
  auto set = [&into](const std::string& text) -> base::Status {
    into.reset();
    if (text == "any") return {};
    const auto address = base::Address::parse_ip(text, 0);
    if (!address) {
      return base::fail(
          base::ErrorCode::invalid_argument,
          in_quotes(text) + " is not an IP address without port, expected ADDR or any");
    }
    into = *address;
    return {};
  };
  return add(std::move(name), Kind::text, "ADDR|any", {into ? into->ip() : "any"}, std::move(set),
             std::move(help));
}

Option& Table::number_row(std::string name, std::uint64_t initial, std::uint64_t least,
                          std::uint64_t most, std::function<void(std::uint64_t)> assign_value,
                          std::string help) {
  auto set = [least, most,
              assign_value = std::move(assign_value)](const std::string& text) -> base::Status {
    const auto value = parse_number(text, least, most);
    if (!value) return tl::unexpected(value.error());
    assign_value(*value);
    return {};
  };
  return add(std::move(name), Kind::number, "N", {std::to_string(initial)}, std::move(set),
             std::move(help));
}

Option& Table::choice_row(std::string name, std::size_t initial, std::vector<std::string> names,
                          std::function<void(std::size_t)> assign_index, std::string help) {
  std::string meta;
  for (const std::string& each : names) meta += (meta.empty() ? "" : "|") + each;
  const std::string fallback = names.at(initial);
  auto set = [meta, names = std::move(names),
              assign_index = std::move(assign_index)](const std::string& value) -> base::Status {
    const auto found = std::ranges::find(names, value);
    if (found == names.end()) {
      return base::fail(base::ErrorCode::invalid_argument,
                        in_quotes(value) + " is not known, expected " + meta);
    }
    assign_index(static_cast<std::size_t>(found - names.begin()));
    return {};
  };
  return add(std::move(name), Kind::text, meta, {fallback}, std::move(set), std::move(help));
}

std::string environment_name(std::string_view option) {
  std::string name = "ZTNA_";
  for (const char c : option) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

}  // namespace ztna::config
