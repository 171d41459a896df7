#include "io/metrics.hpp"

#include <cassert>
#include <charconv>
#include <cmath>

namespace ztna::io {

namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
}

}  // namespace

void MetricsWriter::family(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_.append("\n# TYPE ").append(name);
  text_ += type == MetricType::counter ? " counter\n" : " gauge\n";
}

void MetricsWriter::begin_sample(std::initializer_list<Label> labels) {
  assert(!name_.empty());
  text_ += name_;
  char separator = '{';
  for (const auto& [key, value] : labels) {
    text_ += separator;
    text_.append(key).append("=\"");
    append_escaped(text_, value, true);
    text_ += '"';
    separator = ',';
  }
  if (separator == ',') text_ += '}';
  text_ += ' ';
}

void MetricsWriter::sample(std::uint64_t value, std::initializer_list<Label> labels) {
  begin_sample(labels);
  text_.append(std::to_string(value)).append("\n");
}

void MetricsWriter::sample_real(double value, std::initializer_list<Label> labels) {
  begin_sample(labels);
  if (std::isnan(value)) {
    text_ += "NaN";
  } else if (std::isinf(value)) {
    text_ += value > 0 ? "+Inf" : "-Inf";
  } else {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    text_.append(digits, end);
  }
  text_ += '\n';
}

}  // namespace ztna::io
