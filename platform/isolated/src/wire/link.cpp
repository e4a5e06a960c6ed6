#include "wire/link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

/// Who may wait does so from here on.
constexpr std::size_t enough_kept = std::size_t{4} << 20U;
/// So often is read, or written, before anything else has its turn.
constexpr int turns = 64;

/// What poll is given in a stream's place. poll itself keeps a stream open until it returns, also when its
/// descriptor is closed meanwhile; this does not.
class Watch {
 public:
  enum class Can : std::uint8_t { watch, nothing, only_poll };

  explicit Watch(int stream) : stream_(stream), watching_(::epoll_create1(EPOLL_CLOEXEC)) {}
  int descriptor() const { return watching_.get(); }
  /// `nothing`: the stream's descriptor has been closed. `only_poll`: the system has too little for this.
  Can wants(short events) {
    if (!watching_.valid()) return Can::only_poll;
    if (events == wanted_) return Can::watch;
    epoll_event wish{};
    wish.events = static_cast<std::uint32_t>(events);
    const int how = wanted_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    wanted_ = events;
    if (::epoll_ctl(watching_.get(), how, stream_, &wish) == 0) return Can::watch;
    return errno == EBADF || errno == ENOENT ? Can::nothing : Can::only_poll;
  }
  /// In the words of poll.
  short came() const {
    static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLRDHUP == POLLRDHUP &&
                  EPOLLERR == POLLERR && EPOLLHUP == POLLHUP);
    epoll_event came{};
    return ::epoll_wait(watching_.get(), &came, 1, 0) == 1 ? static_cast<short>(came.events) : short{0};
  }

 private:
  const int stream_;
  const comm::FileDescriptor watching_;
  short wanted_ = 0;
};

}  // namespace

Link::Link(std::unique_ptr<Stream> stream, WhenFull when_full, std::uint64_t silence_ns,
           std::uint64_t silence_there_ns)
    : stream_(std::move(stream)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      when_full_(when_full),
      silence_ns_(silence_ns),
      silence_there_ns_(silence_there_ns != 0 ? silence_there_ns : silence_ns) {
  if (!wake_.valid()) down_ = true;
}

std::uint64_t Link::now() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

bool Link::send(Kind kind, std::uint64_t number, std::span<const std::byte> payload,
                std::span<const int> descriptors) {
  FrameHeader header;
  header.bytes = static_cast<std::uint32_t>(payload.size());
  header.kind = kind;
  header.descriptors = static_cast<std::uint16_t>(descriptors.size());
  header.number = number;
  std::array<iovec, 2> parts{
      {{&header, sizeof header}, {const_cast<std::byte*>(payload.data()), payload.size()}}};
  if (payload.size() > most_frame_bytes || is_down()) return false;
  std::unique_lock lock(mutex_);
  std::size_t sent = 0;
  if (rest_.empty()) {
    const auto now = stream_->send(parts, descriptors);
    if (now.gone) {
      if (!down_.exchange(true)) wake();
      return false;
    }
    sent = now.bytes;
    if (sent != 0) spoke_.store(true, std::memory_order_relaxed);
    if (sent == sizeof header + payload.size()) return true;
  }
  return keep(header, payload, sent, descriptors, lock);
}

bool Link::keep(const FrameHeader& header, std::span<const std::byte> payload, std::size_t sent,
                std::span<const int> descriptors, std::unique_lock<std::mutex>& lock) {
  Rest rest;
  rest.sent = sent;
  if (sent == 0) {
    for (const int descriptor : descriptors) {
      rest.descriptors.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
      if (!rest.descriptors.back().valid()) return false;
    }
  }
  rest.bytes.resize(sizeof header + payload.size());
  std::memcpy(rest.bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(rest.bytes.data() + sizeof header, payload.data(), payload.size());
  rest_bytes_ += rest.bytes.size();
  rest_.push_back(std::move(rest));
  wake();
  if (rest_bytes_ <= most_kept) return true;
  if (when_full_ == WhenFull::go_down) {
    lock.unlock();
    shut();
    return false;
  }
  // Who makes room must not wait for it.
  if (std::this_thread::get_id() != serving_.load()) {
    has_room_.wait(lock, [this] { return rest_bytes_ <= most_kept || is_down(); });
  }
  return !is_down();
}

void Link::wait_for_room() {
  std::unique_lock lock(mutex_);
  has_room_.wait(lock, [this] { return rest_bytes_ <= enough_kept || is_down(); });
}

bool Link::wait_for_room(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return has_room_.wait_for(lock, most, [this] { return rest_bytes_ <= enough_kept || is_down(); });
}

bool Link::has_room() const {
  const std::lock_guard lock(mutex_);
  return rest_bytes_ <= enough_kept;
}

void Link::send_rest() {
  const std::lock_guard lock(mutex_);
  for (int turn = 0; !rest_.empty(); ++turn) {
    auto& first = rest_.front();
    std::array<int, most_descriptors> descriptors{};
    for (std::size_t i = 0; i < first.descriptors.size(); ++i) descriptors[i] = first.descriptors[i].get();
    iovec part{first.bytes.data() + first.sent, first.bytes.size() - first.sent};
    const auto now = stream_->send({&part, 1}, std::span(descriptors).first(first.descriptors.size()));
    if (now.gone) {
      if (!down_.exchange(true)) wake();
      break;
    }
    if (now.bytes == 0) break;
    spoke_.store(true, std::memory_order_relaxed);
    first.descriptors.clear();
    first.sent += now.bytes;
    if (first.sent != first.bytes.size()) continue;
    rest_bytes_ -= first.bytes.size();
    rest_.pop_front();
    if (turn >= turns) break;
  }
  has_room_.notify_all();
}

void Link::say_alive() {
  if (silence_ns_ == 0 || is_down()) return;
  const auto time = now();
  auto last = said_alive_.load(std::memory_order_relaxed);
  if (time < last + Pulse::interval(silence_there_ns_) || !said_alive_.compare_exchange_strong(last, time))
    return;
  std::unique_lock lock(mutex_);
  const bool has_more_to_say = !rest_.empty();
  lock.unlock();
  // Any byte is a sign; and what is kept leaves only if somebody sends it.
  if (has_more_to_say) {
    send_rest();
  } else {
    (void)send(Kind::alive, 0, {});
  }
}

Link::Came Link::take_in(Assembler& to) {
  auto came = stream_->receive(to.room());
  if (came.nothing) return Came::nothing;
  if (!came.descriptors.empty() || came.lost_descriptors) to.took(std::move(came.descriptors));
  to.took(came.bytes);
  if (came.bytes == 0) return Came::end;
  if (is_local()) heard_.fetch_add(1, std::memory_order_relaxed);
  pulse_.heard(silence_ns_ != 0 ? now() : 0);
  return Came::bytes;
}

Result<void> Link::tell(Assembler& of, Receiver& receiver) {
  Frame frame;
  in_the_middle_ = true;
  while (!paused_.load()) {
    const auto there = of.next(frame);
    if (!there) return there.error();
    if (!*there) {
      in_the_middle_ = false;
      break;
    }
    if (frame.kind == Kind::alive) continue;
    if (!is_local()) heard_.fetch_add(1, std::memory_order_relaxed);
    if (auto told = receiver.frame(frame); !told) return told;
  }
  receiver.caught_up();
  return {};
}

/// For poll, in milliseconds, until the pulse is to be looked at.
int Link::time_to_wait() const {
  const auto next = pulse_.next();
  if (next == 0) return -1;
  const auto time = now();
  if (next <= time) return 0;
  return static_cast<int>(std::min<std::uint64_t>((next - time) / 1'000'000 + 1, 60'000));
}

bool Link::is_over(bool listened) {
  if (silence_ns_ == 0) return false;
  const auto time = now();
  if (spoke_.exchange(false, std::memory_order_relaxed)) pulse_.said(time);
  if (!listened) pulse_.heard(time);
  switch (pulse_.due(time)) {
    case Pulse::Due::over:
      silent_.store(true);
      return true;
    case Pulse::Due::sign:
      pulse_.said(time);
      (void)send(Kind::alive, 0, {});
      return false;
    default:
      return false;
  }
}

Result<void> Link::serve(Receiver& receiver, int also) {
  Assembler assembler;
  std::array<pollfd, 3> waiting{
      {{stream_->descriptor(), POLLIN, 0}, {wake_.get(), POLLIN, 0}, {also, POLLIN, 0}}};
  serving_.store(std::this_thread::get_id());
  std::optional<Watch> watch;
  if (receiver.may_lose_stream()) watch.emplace(stream_->descriptor());
  if (silence_ns_ != 0) pulse_ = Pulse(silence_ns_, silence_there_ns_, now());
  // A stream may have taken in more than it has given out.
  bool more = true;
  for (bool over = false; !over && !shut_.load();) {
    const bool paused = paused_.load();
    {
      const std::lock_guard lock(mutex_);
      if (finishing_.load() && rest_.empty()) break;
      waiting[0].events = static_cast<short>((paused ? POLLRDHUP : POLLIN) | (rest_.empty() ? 0 : POLLOUT));
    }
    if (watch) {
      const auto can = watch->wants(waiting[0].events);
      if (can == Watch::Can::nothing) break;
      if (can == Watch::Can::only_poll) watch.reset();
    }
    waiting[0].fd = watch ? watch->descriptor() : stream_->descriptor();
    if (watch) waiting[0].events = POLLIN;
    const bool at_once = !paused && (more || in_the_middle_);
    if (::poll(waiting.data(), waiting.size(), at_once || pulse_.in_doubt() ? 0 : time_to_wait()) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (watch && waiting[0].revents == POLLIN) waiting[0].revents = watch->came();
    if ((waiting[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      (void)!::read(wake_.get(), &count, sizeof count);
      receiver.caught_up();
    }
    if ((waiting[0].revents & POLLOUT) != 0) {
      send_rest();
      receiver.caught_up();
    }
    over = (waiting[2].revents & POLLIN) != 0;              // what it has sent before is still heard
    if ((waiting[1].revents & POLLNVAL) != 0) over = true;  // somebody has closed it
    // Nothing is read now, so nothing else would tell that the other end has gone.
    if (paused && (is_down() || (waiting[0].revents & (POLLRDHUP | POLLERR | POLLHUP)) != 0)) over = true;
    const bool reads = over || at_once || (waiting[0].revents & ~POLLOUT) != 0;
    more = false;
    for (int turn = 0; reads && !paused_.load(); ++turn) {
      if (!in_the_middle_) {
        const auto came = take_in(assembler);
        if (came == Came::end) {
          over = true;
          closed_.store(true);
        }
        if (came != Came::bytes) break;
      }
      if (auto told = tell(assembler, receiver); !told) {
        shut();
        return told;
      }
      if (over) continue;
      more = turn >= turns;
      if (more || is_local()) break;
    }
    if (!over && is_over(!paused_.load())) over = true;
  }
  shut();
  return {};
}

void Link::resume() noexcept {
  paused_.store(false);
  wake();
}

void Link::shut() noexcept {
  shut_.store(true);
  down_.store(true, std::memory_order_release);
  stream_->shut();
  wake();
  const std::lock_guard lock(mutex_);
  has_room_.notify_all();
}

void Link::finish() noexcept {
  finishing_.store(true);
  wake();
}

void Link::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

}  // namespace troupe::platform::isolation
