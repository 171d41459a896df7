#include "config/values.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>
#include <ranges>

#include "identity/principal.hpp"

namespace ztna::config {
namespace {

using base::ErrorCode;
using base::fail;
using base::Result;

constexpr std::size_t longest_quote = 200;

tl::unexpected<base::Error> invalid(std::string what) {
  return fail(ErrorCode::invalid_argument, std::move(what));
}

// An error of src/base names the text as its place; here the place is the flag, so fold it in.
tl::unexpected<base::Error> folded(const base::Error& error) { return invalid(error.message()); }

struct Unit {
  std::string_view name;
  base::Duration size;
};
constexpr std::array<Unit, 4> units{{{"ms", std::chrono::milliseconds(1)},
                                     {"s", std::chrono::seconds(1)},
                                     {"m", std::chrono::minutes(1)},
                                     {"h", std::chrono::hours(1)}}};

// Splits "tcp://REST"; null when the scheme is another.
const char* take_scheme(std::string_view& text, Transport& transport) {
  for (const Transport candidate : {Transport::tcp, Transport::udp}) {
    const std::string prefix = std::string(to_string(candidate)) + "://";
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    transport = candidate;
    return to_string(candidate);
  }
  return nullptr;
}

base::Status check_name(std::string_view name) {
  if (identity::is_valid_name(name)) return {};
  return invalid(in_quotes(name) +
                 " is not a service name, expected 1 to 63 of a-z, 0-9 and inner \"-\"");
}

Result<Service::Health> parse_health(std::string_view query, Transport transport) {
  if (query == "health=none") return Service::Health::none;
  if (query != "health=tcp") {
    return invalid(in_quotes(query) +
                   " is not known after \"?\", expected health=tcp or health=none");
  }
  if (transport == Transport::udp) {
    return invalid("health=tcp cannot check a udp service, expected health=none");
  }
  return Service::Health::tcp;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

const char* to_string(Transport transport) { return transport == Transport::tcp ? "tcp" : "udp"; }

std::string Service::to_string() const {
  const bool usual = (transport == Transport::tcp) == (health == Health::tcp);
  return name + "=" + config::to_string(transport) + "://" + backend.to_string() +
         (usual                   ? ""
          : health == Health::tcp ? "?health=tcp"
                                  : "?health=none");
}

std::string Forward::to_string() const {
  return std::string(config::to_string(transport)) + "://" + listen.to_string() + "=" + service;
}

std::string in_quotes(std::string_view text) {
  const bool cut = text.size() > longest_quote;
  return "\"" + std::string(text.substr(0, longest_quote)) + (cut ? "…\"" : "\"");
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<std::uint8_t>(c);
    if (octet < 0x20 || octet == 0x7f) {
      out += "\\x" + base::to_hex({&octet, 1});
    } else {
      out += c;
    }
  }
  return out;
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    return invalid(in_quotes(text) + " is not a number from " + std::to_string(least) + " to " +
                   std::to_string(most));
  }
  return value;
}

Result<base::Duration> parse_duration(std::string_view text, base::Duration least,
                                      base::Duration most) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc{}) {
    const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
    for (const Unit& unit : units) {
      if (name != unit.name) continue;
      if (count > static_cast<std::uint64_t>(most / unit.size)) break;
      const base::Duration value = unit.size * static_cast<std::int64_t>(count);
      if (value < least) break;
      return value;
    }
  }
  return invalid(in_quotes(text) + " is not a duration from " + format_duration(least) + " to " +
                 format_duration(most) + ", expected a number with ms, s, m or h, such as 5s");
}

std::string format_duration(base::Duration duration) {
  for (const Unit& unit : std::ranges::reverse_view(units)) {
    if (duration % unit.size != base::Duration::zero()) continue;
    if (duration == base::Duration::zero()) return "0s";
    return std::to_string(duration / unit.size) + std::string(unit.name);
  }
  return std::to_string(duration / units[0].size) + "ms";
}

Result<bool> parse_toggle(std::string_view text) {
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (text == no) return false;
  }
  return invalid(in_quotes(text) + " is neither true nor false");
}

Result<base::Address> parse_address(std::string_view text, bool zero_port) {
  const auto address = base::Address::parse(text);
  if (!address) {
    const std::string found = address.error().message();
    const bool said = found.find("expected") != std::string::npos;
    return invalid(found + (said ? "" : ", expected ADDR:PORT such as 127.0.0.1:8080"));
  }
  if (address->port() == 0 && !zero_port) {
    return invalid(in_quotes(text) + " has port 0, expected 1 to 65535");
  }
  return *address;
}

namespace {

// What no resolver can know: labels of other characters, and numbers that are no IPv4 address (RFC
// 1123 §2.1: a name never ends in a number).
base::Status check_host(std::string_view text, const std::string& host) {
  if (base::Address::parse_ip(host, 1)) return {};
  // Names of services, as DNS-SD and Docker have them, have underscores too.
  const auto edge = [](char c) {
    return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
  };
  const std::string_view name =
      host.ends_with('.') ? std::string_view(host).substr(0, host.size() - 1) : host;
  std::string_view label;
  for (std::size_t from = 0; from <= name.size(); from += label.size() + 1) {
    label = name.substr(from, name.find('.', from) - from);
    const bool valid = !label.empty() && label.size() <= 63 && edge(label.front()) &&
                       edge(label.back()) &&
                       std::ranges::all_of(label, [&](char c) { return edge(c) || c == '-'; });
    if (!valid) {
      return invalid(in_quotes(text) +
                     " has no valid host name, expected HOST:PORT such as "
                     "relay.example.org:4433");
    }
  }
  if (std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; })) {
    return invalid(in_quotes(text) +
                   " has neither an IPv4 address nor a host name, expected "
                   "HOST:PORT such as 192.0.2.1:4433");
  }
  return {};
}

}  // namespace

Result<base::HostPort> parse_peer(std::string_view text, std::uint16_t default_port) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos) {
    return invalid(in_quotes(text) + " is a URL, expected HOST:PORT");
  }
  const auto peer = base::parse_host_port(text, default_port);
  if (!peer) return folded(peer.error());
  if (peer->port == 0) return invalid(in_quotes(text) + " has port 0, expected 1 to 65535");
  if (const auto host = check_host(text, peer->host); !host) return tl::unexpected(host.error());
  return *peer;
}

Result<Service> parse_service(std::string_view text) {
  static const std::string form =
      ", expected NAME=tcp://HOST:PORT or NAME=udp://HOST:PORT such as web=tcp://127.0.0.1:8080";
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals > text.find(':')) {
    return invalid(in_quotes(text) + " has no NAME=" + form);
  }
  Service service;
  service.name = text.substr(0, equals);
  if (const auto status = check_name(service.name); !status) return tl::unexpected(status.error());
  std::string_view rest = text.substr(equals + 1);
  if (take_scheme(rest, service.transport) == nullptr) {
    return invalid(in_quotes(text) + " has neither tcp:// nor udp://" + form);
  }
  service.health =
      service.transport == Transport::tcp ? Service::Health::tcp : Service::Health::none;
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    const auto health = parse_health(rest.substr(mark + 1), service.transport);
    if (!health) return tl::unexpected(health.error());
    service.health = *health;
    rest = rest.substr(0, mark);
  }
  const auto backend = parse_peer(rest, 0);
  if (!backend) return tl::unexpected(backend.error());
  service.backend = *backend;
  return service;
}

Result<Forward> parse_forward(std::string_view text) {
  static const std::string form =
      ", expected tcp://ADDR:PORT=NAME or udp://ADDR:PORT=NAME such as tcp://127.0.0.1:8080=web";
  Forward forward;
  std::string_view rest = text;
  if (take_scheme(rest, forward.transport) == nullptr) {
    return invalid(in_quotes(text) + " has neither tcp:// nor udp://" + form);
  }
  const auto equals = rest.rfind('=');
  if (equals == std::string_view::npos) return invalid(in_quotes(text) + " has no =NAME" + form);
  forward.service = rest.substr(equals + 1);
  if (const auto status = check_name(forward.service); !status) {
    return tl::unexpected(status.error());
  }
  const auto listen = parse_address(rest.substr(0, equals), true);
  if (!listen) return tl::unexpected(listen.error());
  forward.listen = *listen;
  return forward;
}

bool is_service_link(std::string_view text) {
  return text.starts_with("tcp://") || text.starts_with("udp://") || text.starts_with("sctp://");
}

std::string suggest(std::string_view text, const std::vector<std::string>& candidates) {
  // Half of a short word wrong is another word, not a slip, and so are three letters of any.
  std::size_t best = std::min<std::size_t>(2, std::max<std::size_t>(1, text.size() / 3)) + 1;
  std::string found;
  if (text.size() > 64) return found;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(text, candidate);
    if (distance >= best) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

}  // namespace ztna::config
