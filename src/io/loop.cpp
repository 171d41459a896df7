#include "io/loop.hpp"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <map>
#include <system_error>
#include <vector>

#include "io/fd_watch.hpp"
#include "io/udp_batch.hpp"

namespace ztna::io {

namespace asio = boost::asio;

namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec at{};
  ::clock_gettime(clock, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

// The timers of one loop: a binary heap over one timerfd. Asio's own timers stand on
// CLOCK_MONOTONIC, which stops while the machine sleeps.
class Timers : public FdWatch::Owner, public std::enable_shared_from_this<Timers> {
 public:
  explicit Timers(Loop& loop) : watch_(loop, open_timer()) {}

  void insert(Timer& timer, std::size_t& index);
  void erase(std::size_t index);
  void start() { watch_.wait(FdWatch::Event::readable, shared_from_this()); }
  void close() { watch_.close(); }
  void on_fd_readable() override;

  struct Entry {
    base::Time deadline;
    std::uint64_t order = 0;
    Timer* timer = nullptr;
    std::size_t* index = nullptr;  // in the Timer: where this entry stands
    [[nodiscard]] bool before(const Entry& other) const {
      return deadline != other.deadline ? deadline < other.deadline : order < other.order;
    }
  };
  // Timers set to the past by a callback wait for the next turn: nothing starves.
  [[nodiscard]] base::Time floor() const { return floor_; }
  std::function<void(Timer&)> fire;

 private:
  static Fd open_timer() {
    Fd fd(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!fd.valid()) throw std::system_error(errno, std::generic_category(), "timerfd_create");
    return fd;
  }
  void place(std::size_t at, const Entry& entry) {
    heap_[at] = entry;
    *entry.index = at;
  }
  void sift_up(std::size_t at, const Entry& entry);
  void sift_down(std::size_t at, const Entry& entry);
  void arm();

  FdWatch watch_;
  std::vector<Entry> heap_;
  std::uint64_t next_order_ = 0;
  base::Time armed_ = base::never;
  base::Time floor_{base::Duration{1}};  // 0 would disarm a timerfd
};

void Timers::insert(Timer& timer, std::size_t& index) {
  const Entry entry{timer.deadline(), next_order_++, &timer, &index};
  heap_.emplace_back();
  sift_up(heap_.size() - 1, entry);
  arm();
}

void Timers::erase(std::size_t index) {
  const Entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  if (index > 0 && last.before(heap_[(index - 1) / 2]))
    sift_up(index, last);
  else
    sift_down(index, last);
}

void Timers::sift_up(std::size_t at, const Entry& entry) {
  while (at > 0 && entry.before(heap_[(at - 1) / 2])) {
    place(at, heap_[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  place(at, entry);
}

void Timers::sift_down(std::size_t at, const Entry& entry) {
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
    if (!heap_[child].before(entry)) break;
    place(at, heap_[child]);
    at = child;
  }
  place(at, entry);
}

void Timers::arm() {
  if (heap_.empty() || heap_.front().deadline >= armed_) return;
  armed_ = heap_.front().deadline;
  const auto ns = armed_.time_since_epoch().count();
  itimerspec spec{};
  spec.it_value.tv_sec = ns / 1'000'000'000;
  spec.it_value.tv_nsec = ns % 1'000'000'000;
  ::timerfd_settime(watch_.fd(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Timers::on_fd_readable() {
  std::uint64_t expirations = 0;
  static_cast<void>(::read(watch_.fd(), &expirations, sizeof expirations));
  floor_ = Loop::now();
  const std::uint64_t first_new = next_order_;
  while (!heap_.empty() && heap_.front().deadline <= floor_ && heap_.front().order < first_new)
    fire(*heap_.front().timer);
  armed_ = base::never;
  arm();
  start();
}

}  // namespace

struct Loop::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::shared_ptr<Timers> timers;
  std::map<int, std::unique_ptr<asio::signal_set>> signals;
  base::Bytes read_buffer;
  std::unique_ptr<UdpReceiveBatch> udp_batch;

  void wait_signal(asio::signal_set& set, const std::shared_ptr<std::function<void()>>& fn) {
    set.async_wait([this, &set, fn](boost::system::error_code error, int) {
      if (error) return;
      (*fn)();
      wait_signal(set, fn);
    });
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  impl_->timers = std::make_shared<Timers>(*this);
  impl_->timers->fire = [](Timer& timer) {
    const auto callback = timer.callback_;  // outlives a Timer that its callback destroys
    timer.cancel();
    (*callback)();
  };
  impl_->timers->start();
}

Loop::~Loop() { impl_->timers->close(); }

base::Time Loop::now() { return base::Time{base::Duration{read_clock(CLOCK_BOOTTIME)}}; }

base::WallTime Loop::wall_now() {
  const std::int64_t ms = read_clock(CLOCK_REALTIME) / 1'000'000;
  return {ms / 1000, static_cast<std::uint16_t>(ms % 1000)};
}

void Loop::run() {
  impl_->context.restart();
  impl_->context.run();
}

std::size_t Loop::poll() {
  impl_->context.restart();
  return impl_->context.poll();
}

void Loop::run_one() {
  impl_->context.restart();
  impl_->context.run_one();
}

void Loop::stop() { impl_->context.stop(); }

void Loop::post(std::function<void()> fn) { asio::post(impl_->context, std::move(fn)); }

base::Status Loop::on_signal(int signal, std::function<void()> fn) {
  auto set = std::make_unique<asio::signal_set>(impl_->context);
  boost::system::error_code error;
  set->add(signal, error);
  if (error)
    return base::fail(base::ErrorCode::internal, "cannot handle signal " + std::to_string(signal),
                      {}, error.message());
  impl_->wait_signal(*set, std::make_shared<std::function<void()>>(std::move(fn)));
  impl_->signals[signal] = std::move(set);
  return {};
}

asio::io_context& Loop::context() { return impl_->context; }

base::MutableBytes Loop::read_buffer() {
  if (impl_->read_buffer.empty()) impl_->read_buffer.resize(read_buffer_size);
  return impl_->read_buffer;
}

UdpReceiveBatch& Loop::udp_batch() {
  if (!impl_->udp_batch) impl_->udp_batch = std::make_unique<UdpReceiveBatch>();
  return *impl_->udp_batch;
}

Timer::Timer(Loop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::make_shared<std::function<void()>>(std::move(callback))) {}

Timer::~Timer() { cancel(); }

void Timer::set(base::Time deadline) {
  cancel();
  if (deadline == base::never) return;
  Timers& timers = *loop_.impl_->timers;
  deadline_ = std::max(deadline, timers.floor());
  timers.insert(*this, heap_index_);
}

void Timer::cancel() {
  if (deadline_ == base::never) return;
  deadline_ = base::never;
  loop_.impl_->timers->erase(heap_index_);
}

}  // namespace ztna::io
