#include "io/resolve.hpp"

#include <netdb.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "io/socket_util.hpp"

namespace ztna::io {
namespace {

using Addresses = std::vector<base::Address>;

// Names that may be waited for at the same time. A resolver that does not answer keeps one for 10
// to 20 s.
constexpr std::size_t max_threads = 8;

Addresses look_up(const base::HostPort& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;  // one result an address
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.host.c_str(), std::to_string(host.port).c_str(), &hints, &found) != 0) {
    return {};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  Addresses all;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    all.push_back(from_sockaddr(at->ai_addr));
  }
  return all;
}

// Threads that look names up. There is one, which is never destroyed: nothing waits for a resolver
// when the process ends.
class Resolvers {
 public:
  using Done = std::function<void(const Addresses&)>;

  static Resolvers& instance() {
    static auto* const all = new Resolvers;
    return *all;
  }

  // Calls `done` from one of its threads.
  void ask(const base::HostPort& host, Done done) {
    const std::lock_guard lock(mutex_);
    std::vector<Done>& waiting = asked_[host];
    waiting.push_back(std::move(done));
    if (waiting.size() > 1) return;
    queue_.push_back(host);
    if (idle_ >= queue_.size() || threads_ == max_threads) return changed_.notify_one();
    ++threads_;
    start_thread();
  }

 private:
  // Signals are the main thread's business.
  void start_thread() {
    sigset_t all{}, before{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([this] { serve(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      changed_.wait(lock, [this] { return !queue_.empty(); });
      --idle_;
      const base::HostPort host = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      const Addresses addresses = look_up(host);
      lock.lock();
      const auto node = asked_.extract(host);
      lock.unlock();
      for (const Done& done : node.mapped()) done(addresses);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<base::HostPort> queue_;
  std::map<base::HostPort, std::vector<Done>> asked_;  // who waits for it
  std::size_t threads_ = 0, idle_ = 0;
};

}  // namespace

struct Resolve::Impl {
  std::mutex mutex;
  Loop* loop = nullptr;  // null: nobody wants to know any more
  Done done;             // of the loop's thread

  void finish(const Addresses& addresses) {
    if (!done) return;
    const Done call = std::exchange(done, nullptr);
    call(addresses);
  }
};

Resolve::Resolve(Loop& loop, const base::HostPort& host, Done done)
    : impl_(std::make_shared<Impl>()) {
  impl_->loop = &loop;
  impl_->done = std::move(done);
  if (const auto literal = base::Address::parse_ip(host.host, host.port)) {
    loop.post([impl = impl_, address = *literal] { impl->finish({address}); });
    return;
  }
  Resolvers::instance().ask(host, [impl = impl_](const Addresses& addresses) {
    const std::lock_guard lock(impl->mutex);
    if (impl->loop == nullptr) return;
    impl->loop->post([impl, addresses] { impl->finish(addresses); });
  });
}

Resolve::~Resolve() {
  impl_->done = nullptr;
  const std::lock_guard lock(impl_->mutex);
  impl_->loop = nullptr;
}

}  // namespace ztna::io
