#include "identity/principal.hpp"

#include <algorithm>
#include <iterator>

namespace ztna::identity {
namespace {

constexpr std::size_t max_label = 63;    // RFC 1035 §2.3.4
constexpr std::size_t max_domain = 255;  // SPIFFE-ID §2.1
constexpr std::string_view scheme = "spiffe://";

struct RoleName {
  Role role;
  std::string_view name;
};
constexpr RoleName role_names[] = {
    {Role::intermediate, "intermediate"}, {Role::connector, "connector"}, {Role::agent, "agent"}};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

std::string_view to_string(Role role) {
  for (const RoleName& known : role_names) {
    if (known.role == role) return known.name;
  }
  return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
  const auto* const found = std::ranges::find(role_names, text, &RoleName::name);
  if (found == std::end(role_names)) return std::nullopt;
  return found->role;
}

std::string Principal::uri() const {
  return std::string(scheme) + trust_domain + "/" + std::string(to_string(role)) + "/" + name;
}

bool Principal::may_serve(std::string_view service) const {
  // The service must be a name, so that asking for "*" does not match a certificate's "*".
  if (role != Role::connector || !is_valid_name(service)) return false;
  return std::ranges::any_of(
      serve, [service](const std::string& entry) { return entry == "*" || entry == service; });
}

bool is_valid_name(std::string_view name) {
  return !name.empty() && name.size() <= max_label && name.front() != '-' && name.back() != '-' &&
         std::ranges::all_of(name, is_name_character);
}

bool is_valid_trust_domain(std::string_view domain) {
  if (domain.size() > max_domain) return false;
  while (true) {
    const std::size_t dot = domain.find('.');
    if (!is_valid_name(domain.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    domain.remove_prefix(dot + 1);
  }
}

base::Result<SpiffeId> parse_spiffe_id(std::string_view uri) {
  const auto malformed = [uri](std::string_view why) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "\"" + printable(uri) + "\" is not an identity (" + std::string(why) +
                          "), expected spiffe://<trust-domain>/<role>/<name>");
  };
  if (!uri.starts_with(scheme)) return malformed("it does not begin with spiffe://");
  const std::string_view rest = uri.substr(scheme.size());
  const std::size_t first = rest.find('/');
  const std::size_t second = first == std::string_view::npos ? first : rest.find('/', first + 1);
  if (second == std::string_view::npos) return malformed("it lacks a role or a name");
  const std::string_view domain = rest.substr(0, first);
  const std::string_view role_text = rest.substr(first + 1, second - first - 1);
  const std::string_view name = rest.substr(second + 1);
  if (!is_valid_trust_domain(domain)) return malformed("malformed trust domain");
  const std::optional<Role> role = parse_role(role_text);
  if (!role) return malformed("the role is not intermediate, connector or agent");
  if (!is_valid_name(name)) return malformed("malformed name: 1 to 63 of a-z, 0-9 and -");
  return SpiffeId{std::string(domain), *role, std::string(name)};
}

std::string printable(std::string_view untrusted) {
  constexpr std::size_t longest = 300;
  std::string text(untrusted.substr(0, longest));
  std::ranges::replace_if(text, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  if (untrusted.size() > longest) text += "...";
  return text;
}

}  // namespace ztna::identity
