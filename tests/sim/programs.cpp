#include "sim/programs.hpp"

#include <algorithm>

namespace ztna::sim {
namespace {

constexpr std::size_t chunk = 16 * 1024;

std::uint64_t hash_of_pattern(std::uint64_t key, std::uint64_t size) {
  std::uint64_t hash = 0;
  base::Bytes part(chunk);
  for (std::uint64_t at = 0; at < size; at += chunk) {
    const auto view = base::MutableBytes(part).first(std::min<std::uint64_t>(chunk, size - at));
    pattern(key, at, view);
    hash = hash_octets(hash, view);
  }
  return hash;
}

void store_u64(std::uint8_t* at, std::uint64_t value) { std::memcpy(at, &value, sizeof value); }
std::uint64_t load_u64(const std::uint8_t* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::uint64_t hash_octets(std::uint64_t hash, base::BytesView data) {
  for (const std::uint8_t octet : data) hash = (hash ^ octet) * 0x100000001b3ULL + 1;
  return hash;
}

void Sender::pump(FlowPort& port, std::uint64_t limit) {
  base::Bytes part(std::min({std::uint64_t{chunk}, size_ - sent_, limit}));
  while (sent_ < size_ && limit > 0) {
    const auto view = base::MutableBytes(part).first(
        std::min({std::uint64_t{part.size()}, size_ - sent_, limit}));
    pattern(key_, sent_, view);
    const std::size_t taken = port.write(view);
    sent_ += taken;
    limit -= taken;
    if (taken < view.size()) return;
  }
  if (sent_ == size_ && finish_ && !finished_) {
    finished_ = true;
    port.finish();
  }
}

// --- Client

Client::Client(World& world, FlowPlan plan, std::string name)
    : world_(world),
      plan_(std::move(plan)),
      name_(std::move(name)),
      key_(world.random().next()),
      started_(world.now()),
      self_(std::make_shared<Client*>(this)) {
  if (plan_.service == "source") {
    store_u64(request_.data(), key_);
    store_u64(request_.data() + 8, plan_.size);
  } else {
    request_sent_ = request_.size();
    sender_ = Sender(key_, plan_.size, true);
  }
  for (const std::size_t size : plan_.payloads) payloads_[size] = false;
}

void Client::attach(std::unique_ptr<FlowPort> port) {
  port_ = std::move(port);
  if (plan_.protocol == Protocol::udp) return send_payloads(plan_.udp_tries);
  if (plan_.read_pause.count() > 0) read_slowly();
  if (plan_.write_pause.count() > 0) write_slowly();
}

void Client::lost() {
  if (!over()) on_ended(FlowEnd::session_lost, "the Agent is gone");
}

std::uint64_t Client::expected_size() const { return plan_.service == "sink" ? 16 : plan_.size; }

void Client::wrong(const std::string& what) {
  if (std::exchange(wrong_, true)) return;
  world_.violation(name_ + " (" + plan_.service + "): " + what);
}

void Client::on_accepted() { accepted_ = true; }

void Client::on_writable() {
  if (over() || plan_.protocol == Protocol::udp) return;
  if (request_sent_ < request_.size()) {
    request_sent_ += port_->write(base::BytesView(request_).subspan(request_sent_));
    if (request_sent_ == request_.size() && plan_.half_close) port_->finish();
    return;
  }
  if (plan_.service != "source" && plan_.write_pause.count() == 0) sender_.pump(*port_);
}

void Client::check(base::BytesView data) {
  if (received_ + data.size() > expected_size()) return wrong("more octets than were sent");
  base::Bytes expected(data.size());
  if (plan_.service == "sink") {
    std::array<std::uint8_t, 16> report{};
    store_u64(report.data(), plan_.size);
    store_u64(report.data() + 8, hash_of_pattern(key_, plan_.size));
    std::copy_n(report.begin() + static_cast<std::ptrdiff_t>(received_), data.size(),
                expected.begin());
  } else {
    pattern(key_, received_, expected);
  }
  if (!std::ranges::equal(data, expected)) {
    wrong("wrong octets at or behind offset " + std::to_string(received_));
  }
}

void Client::on_data(base::BytesView data) {
  if (over()) return wrong("octets after the end");
  if (fin_) return wrong("octets after FIN");
  if (!first_octet_) first_octet_ = world_.now();
  if (deliveries_.empty() || deliveries_.back() != world_.now())
    deliveries_.push_back(world_.now());
  check(data);
  received_ += data.size();
  if (plan_.read_pause.count() > 0) {
    held_ += data.size();
  } else {
    port_->consume(data.size());
  }
  if (plan_.reset_after && received_ >= *plan_.reset_after && !resetting_) {
    resetting_ = true;
    // Not from inside the callback: a program's close() comes from elsewhere.
    world_.after({}, [weak = std::weak_ptr(self_)] {
      if (const auto self = weak.lock()) (*self)->reset();
    });
  }
}

void Client::on_fin() {
  if (over()) return wrong("FIN after the end");
  if (std::exchange(fin_, true)) return wrong("FIN twice");
  if (received_ != expected_size()) {
    return wrong("FIN after " + std::to_string(received_) + " of " +
                 std::to_string(expected_size()) + " octets: silently short");
  }
  whole_ = !wrong_;
  if (plan_.service == "source" && !plan_.half_close) port_->finish();
}

void Client::on_ended(FlowEnd end, const std::string& text) {
  if (over()) return wrong("ended twice");
  world_.note(name_ + " (" + plan_.service + ") ended: " + std::string(to_string(end)) + " " +
              text);
  ended_ = end;
  text_ = text;
  if (end != FlowEnd::finished) return;
  if (plan_.protocol == Protocol::udp) {
    whole_ = answered_ == payloads_.size();
  } else if (!whole_) {
    wrong("finished in order without all octets and FIN");
  }
}

void Client::read_slowly() {
  world_.after(plan_.read_pause, [weak = std::weak_ptr(self_)] {
    const auto self = weak.lock();
    if (!self || (*self)->over()) return;
    Client& client = **self;
    const std::size_t size = std::min(client.held_, client.plan_.read_chunk);
    client.held_ -= size;
    client.port_->consume(size);
    client.read_slowly();
  });
}

void Client::write_slowly() {
  world_.after(plan_.write_pause, [weak = std::weak_ptr(self_)] {
    const auto self = weak.lock();
    if (!self || (*self)->over()) return;
    Client& client = **self;
    client.sender_.pump(*client.port_, client.plan_.write_chunk);
    client.write_slowly();
  });
}

void Client::stop_writing() {
  sender_.stop();
  plan_.size = sender_.sent();
}

Duration Client::worst_gap(Time from, Time until) const {
  Duration worst{};
  const auto first = std::ranges::lower_bound(deliveries_, from);
  Time last = first == deliveries_.begin() ? from : *std::prev(first);
  for (auto at = first; at != deliveries_.end() && *at <= until; ++at) {
    worst = std::max(worst, *at - last);
    last = *at;
  }
  return std::max(worst, until - last);
}

void Client::reset() {
  if (over()) return;
  port_->reset();
}

// --- UDP

void Client::send_payloads(int tries) {
  if (over() || tries == 0) return;
  for (const auto& [size, answered] : payloads_) {
    if (answered) continue;
    base::Bytes payload(size);
    pattern(key_ ^ size, 0, payload);
    port_->datagram(payload);
  }
  world_.after(plan_.udp_repeat, [weak = std::weak_ptr(self_), tries] {
    if (const auto self = weak.lock()) (*self)->send_payloads(tries - 1);
  });
}

void Client::on_datagram(base::BytesView payload) {
  const auto found = payloads_.find(payload.size());
  if (found == payloads_.end()) return wrong("a payload of a size that was never sent");
  base::Bytes expected(payload.size());
  pattern(key_ ^ payload.size(), 0, expected);
  if (!std::ranges::equal(payload, expected)) return wrong("a payload came back changed");
  if (!first_octet_) first_octet_ = world_.now();
  if (!std::exchange(found->second, true)) ++answered_;
  if (answered_ == payloads_.size()) hang_up();
}

void Client::hang_up() {
  world_.after({}, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock(); self && !(*self)->over()) (*self)->port_->finish();
  });
}

// --- Backend

Backend::Backend(std::string kind, std::unique_ptr<FlowPort> port)
    : kind_(std::move(kind)), port_(std::move(port)) {}

void Backend::connected() {
  connected_ = true;
  pump();
}

void Backend::on_data(base::BytesView data) {
  count_ += data.size();
  if (kind_ == "sink") {
    hash_ = hash_octets(hash_, data);
    return port_->consume(data.size());
  }
  // Echo consumes what it could pass on: backpressure reaches the client.
  pending_.insert(pending_.end(), data.begin(), data.end());
  if (kind_ == "source") {
    port_->consume(data.size());
    if (pending_.size() >= 16 && !sender_) {
      sender_ = Sender(load_u64(pending_.data()), load_u64(pending_.data() + 8), true);
    }
  }
  pump();
}

void Backend::on_fin() {
  fin_ = true;
  if (kind_ == "sink") {
    std::array<std::uint8_t, 16> report{};
    store_u64(report.data(), count_);
    store_u64(report.data() + 8, hash_);
    pending_.assign(report.begin(), report.end());
  }
  pump();
}

void Backend::on_writable() { pump(); }

void Backend::on_datagram(base::BytesView payload) { port_->datagram(payload); }

void Backend::pump() {
  if (!connected_) return;
  if (kind_ == "source") {
    if (sender_) sender_->pump(*port_);
    return;
  }
  if (kind_ == "sink" && !fin_) return;
  while (pending_at_ < pending_.size()) {
    const std::size_t taken = port_->write(base::BytesView(pending_).subspan(pending_at_));
    if (taken == 0) return;
    pending_at_ += taken;
    if (kind_ == "echo") port_->consume(taken);
  }
  pending_.clear();
  pending_at_ = 0;
  if (fin_ && !std::exchange(finished_, true)) port_->finish();
}

}  // namespace ztna::sim
