// Internal to src/io: host names to addresses, off the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "io/loop.hpp"

namespace ztna::io {

class Resolve {
 public:
  // Empty: no such host, or no answer from a resolver.
  using Done = std::function<void(const std::vector<base::Address>&)>;

  // Calls `done` once from the loop, never from inside the constructor, not after destruction. IP
  // literals need no resolver. A name that nobody answers for holds up no other: some are looked up
  // at the same time, each name once.
  Resolve(Loop& loop, const base::HostPort& host, Done done);
  ~Resolve();
  Resolve(const Resolve&) = delete;
  Resolve& operator=(const Resolve&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace ztna::io
