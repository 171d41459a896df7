// Result<T>: the return type of everything that can fail.
//
// An Error reads as one sentence a user can act on: `what` went wrong, `where` it stands (a file
// and line, a flag, a peer) and, when known, the underlying `cause`. Exceptions are for start-up
// only.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace ztna::base {

enum class ErrorCode {
  invalid_argument,   // the caller or the user gave something malformed
  not_found,          // a named thing does not exist
  already_exists,     // refusing to overwrite
  permission_denied,  // policy, identity or the operating system says no
  unauthenticated,    // the peer did not prove who it is
  unavailable,        // the other side or a resource is away; may work later
  exhausted,          // a quota, queue or limit is full
  timed_out,          // no answer in time
  protocol,           // the peer broke the protocol
  closed,             // the thing has ended
  internal,           // a bug or an unexpected library failure
};

[[nodiscard]] std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string what;
  std::string where;
  std::string cause;

  // "where: what (cause)", leaving out the parts that are empty.
  [[nodiscard]] std::string message() const;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string what,
                                                std::string where = {}, std::string cause = {}) {
  return tl::unexpected<Error>(Error{code, std::move(what), std::move(where), std::move(cause)});
}

}  // namespace ztna::base
