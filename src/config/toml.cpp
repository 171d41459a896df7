// toml++ reads the file; types and keys are checked against the table.
#include "base/toml.hpp"
#include "config/sources.hpp"
#include "config/values.hpp"

namespace ztna::config {
namespace {

using base::ErrorCode;
using base::fail;

std::string position(const std::string& path, const toml::source_position& at) {
  return path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

std::string type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a floating-point number";
    case toml::node_type::boolean: return "a boolean";
    case toml::node_type::date: return "a date";
    case toml::node_type::time: return "a time";
    case toml::node_type::date_time: return "a date and time";
    case toml::node_type::none: break;
  }
  return "nothing";
}

std::string expected_type(const Option& option) {
  switch (option.kind) {
    case Kind::toggle: return "true or false";
    case Kind::number: return "an integer";
    case Kind::text:
    case Kind::path: return "a string (" + option.meta + ")";
    case Kind::list: return "an array of strings (" + option.meta + ")";
  }
  return {};
}

class Reader {
 public:
  Reader(const Table& table, const std::string& path) : table_(table), path_(path) {}

  base::Result<Values> read(const toml::table& root) {
    Values values;
    for (const auto& [key, node] : root) {
      const std::string at = position(path_, key.source().begin);
      const Option* option = table_.find(key.str());
      if (option == nullptr) {
        return fail(
            ErrorCode::invalid_argument,
            with_suggestion("unknown key " + in_quotes(key.str()), key.str(), names_of(table_)),
            at);
      }
      auto [entry, fresh] = values.try_emplace(option->name);
      if (!fresh) {
        return fail(ErrorCode::invalid_argument,
                    in_quotes(key.str()) + " is the same key as " + in_quotes(option->name) +
                        " or another spelling of it, give one of them",
                    at);
      }
      if (const auto status = take(*option, std::string(key.str()), node, entry->second); !status) {
        return tl::unexpected(status.error());
      }
    }
    return values;
  }

 private:
  base::Status take(const Option& option, const std::string& key, const toml::node& node,
                    std::vector<Given>& into) {
    if (option.kind == Kind::list) {
      if (const toml::array* array = node.as_array()) {
        for (const toml::node& element : *array) {
          if (const auto status = take_one(option, key, element, into); !status) return status;
        }
        return {};
      }
    }
    return take_one(option, key, node, into);
  }

  base::Status take_one(const Option& option, const std::string& key, const toml::node& node,
                        std::vector<Given>& into) {
    const std::string where = position(path_, node.source().begin) + ": " + key;
    if (option.kind == Kind::toggle && node.is_boolean()) {
      into.push_back({node.as_boolean()->get() ? "true" : "false", where});
    } else if (option.kind == Kind::number && node.is_integer()) {
      into.push_back({std::to_string(node.as_integer()->get()), where});
    } else if (option.kind != Kind::toggle && option.kind != Kind::number && node.is_string()) {
      into.push_back({resolve(option, node.as_string()->get()), where});
    } else {
      return fail(ErrorCode::invalid_argument,
                  "is " + type_name(node) + ", expected " + expected_type(option), where);
    }
    return {};
  }

  // A folder with a configuration and its certificates can be moved as one.
  std::string resolve(const Option& option, const std::string& text) const {
    const auto slash = path_.rfind('/');
    if (option.kind != Kind::path || text.empty() || text.front() == '/' || text == "off" ||
        slash == std::string::npos) {
      return text;
    }
    return path_.substr(0, slash + 1) + text;
  }

  const Table& table_;
  const std::string& path_;
};

// Are we inside of a comment or a string, where any printable character may stand?
class Surroundings {
 public:
  [[nodiscard]] bool any_text() const { return inside_ != 0; }
  void step(char c) {
    if (c == '\n') {
      *this = {};
    } else if (escaped_) {
      escaped_ = false;
    } else if (inside_ == 0) {
      if (c == '#' || c == '"' || c == '\'') inside_ = c;
    } else if (inside_ == '"' && c == '\\') {
      escaped_ = true;
    } else if (inside_ == c && c != '#') {
      inside_ = 0;
    }
  }

 private:
  char inside_ = 0;  // '#', '"', '\'' or 0
  bool escaped_ = false;
};

// toml++ 3.3 aborts on a NUL in front of a key, and characters beyond ASCII outside of strings and
// comments run it into undefined behaviour. TOML allows neither there.
base::Status check_characters(const std::string& path, std::string_view text) {
  toml::source_position at{1, 1};
  Surroundings surroundings;
  for (const char c : text) {
    const auto octet = static_cast<std::uint8_t>(c);
    const bool blank = c == '\t' || c == '\n' || c == '\r';
    const char* problem = nullptr;
    if ((octet < 0x20 && !blank) || octet == 0x7f) problem = "a control character";
    if (octet >= 0x80 && !surroundings.any_text()) problem = "a character beyond ASCII";
    if (problem != nullptr) {
      return fail(ErrorCode::invalid_argument,
                  "not TOML: " + std::string(problem) + ", expected a key or a value",
                  position(path, at));
    }
    surroundings.step(c);
    at.line += c == '\n' ? 1 : 0;
    at.column = c == '\n' ? 1 : at.column + 1;
  }
  return {};
}

}  // namespace

base::Result<Values> read_toml(const Table& table, const std::string& path, std::string_view text) {
  if (const auto status = check_characters(path, text); !status) {
    return tl::unexpected(status.error());
  }
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    return fail(ErrorCode::invalid_argument,
                "not TOML: " + std::string(parsed.error().description()),
                position(path, parsed.error().source().begin));
  }
  return Reader(table, path).read(parsed.table());
}

}  // namespace ztna::config
