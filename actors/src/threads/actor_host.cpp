#include "threads/actor_host.hpp"

#include <algorithm>

#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {

/// Called exactly once: in its turn, or as cancelled when its message is dropped.
struct Deferred {
  platform::Host::Task task;
  void* arg;
  Deferred(platform::Host::Task t, void* a) : task(t), arg(a) {}
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
  ~Deferred() {
    if (task != nullptr) task(arg, 1);
  }
  void run() { std::exchange(task, nullptr)(arg, 0); }
};
struct Turn {
  std::shared_ptr<Deferred> deferred;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Turn)

namespace troupe::actors {
namespace {

class Turns : public caf::event_based_actor {
 public:
  explicit Turns(caf::actor_config& config) : event_based_actor(config) {}
  const char* name() const override { return "turns"; }
  caf::behavior make_behavior() override {
    return {[](const Turn& turn) { turn.deferred->run(); }};
  }
};

}  // namespace

bool ActorHost::post(std::uint64_t delay_ns, Task task, void* arg) noexcept {
  caf::actor turns;
  {
    std::lock_guard guard(mutex_);
    turns = turns_;
  }
  if (!turns) return threads_->post(delay_ns, task, arg);
  Turn turn{std::make_shared<Deferred>(task, arg)};
  if (delay_ns == 0) {
    caf::anon_send(turns, std::move(turn));
  } else {
    const auto longest = static_cast<std::uint64_t>(runtime::longest_wait.count());
    const std::chrono::nanoseconds delay(std::min(delay_ns, longest));
    caf::delayed_anon_send(turns, delay, std::move(turn));
  }
  return true;
}

void ActorHost::attach(caf::actor_system& system) {
  std::lock_guard guard(mutex_);
  turns_ = system.spawn<Turns, caf::hidden>();
}

void ActorHost::detach() {
  caf::actor turns;
  {
    std::lock_guard guard(mutex_);
    turns.swap(turns_);
  }
  if (turns) caf::anon_send_exit(turns, caf::exit_reason::user_shutdown);
}

}  // namespace troupe::actors
