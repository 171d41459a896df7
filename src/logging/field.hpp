// One key and value of a log message. Keys are ours ([a-z0-9_]); values may come from a peer.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ztna::logging {

struct Field {
  using Value = std::variant<std::string, std::int64_t, std::uint64_t, double, bool>;

  Field(std::string_view name, std::string text) : key(name), value(std::move(text)) {}
  Field(std::string_view name, std::string_view text) : key(name), value(std::string(text)) {}
  Field(std::string_view name, const char* text) : key(name), value(std::string(text)) {}
  Field(std::string_view name, bool flag) : key(name), value(flag) {}
  Field(std::string_view name, double number) : key(name), value(number) {}
  template <std::signed_integral Integer>
  Field(std::string_view name, Integer number) : key(name), value(std::int64_t{number}) {}
  template <std::unsigned_integral Integer>
  Field(std::string_view name, Integer number) : key(name), value(std::uint64_t{number}) {}

  std::string_view key;  // a literal: outlives the call
  Value value;
};

}  // namespace ztna::logging
