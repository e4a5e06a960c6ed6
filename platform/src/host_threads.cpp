#include "troupe/platform/host_threads.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::platform {

namespace {
using Clock = std::chrono::steady_clock;

std::uint64_t clock_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count());
}

void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());  // the kernel keeps 15 characters
}

bool is_limited(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/// Whether this process may have a thread and the memory that a thread needs before it can tell of an error:
/// libraries register with glibc what ends with each thread, and glibc ends the process where it finds no
/// memory for that. Who cannot have both gets no thread, which is an error with a name.
bool has_room_for_thread() {
  if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA)) return true;
  constexpr std::size_t beside_its_stack = std::size_t{4} << 20U;
  std::size_t stack = std::size_t{8} << 20U;
  pthread_attr_t usual;
  if (pthread_getattr_default_np(&usual) == 0) {
    (void)pthread_attr_getstacksize(&usual, &stack);
    (void)pthread_attr_destroy(&usual);
  }
  const std::size_t size = stack + beside_its_stack;
  void* room =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return false;
  (void)::munmap(room, size);
  return true;
}
}  // namespace

struct HostThreads::State {
  struct Worker {
    std::condition_variable wake;
    std::string name;
    Body body = nullptr;  // set: work to do
    void* arg = nullptr;
    std::thread thread;
  };
  using WorkerPlace = std::list<Worker>::iterator;

  explicit State(std::size_t limit) : idle_limit(limit) {}

  const std::size_t idle_limit;
  const pid_t process = ::getpid();
  mutable std::mutex mutex;
  bool closing = false;
  std::list<Worker> workers;       // every thread that may still run a body
  std::vector<WorkerPlace> idle;   // the most recently parked one last: it is the warmest
  std::vector<std::thread> ended;  // left the pool, to be joined
  std::size_t started = 0;

  std::condition_variable timer_wake;
  std::thread timer;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<Task, void*>> posted;
  std::uint64_t posted_count = 0;

  void work(WorkerPlace self) {
    std::unique_lock lock{mutex};
    for (;;) {
      self->wake.wait(lock, [&] { return self->body != nullptr || closing; });
      if (self->body == nullptr) return;
      const auto body = std::exchange(self->body, nullptr);
      void* const arg = self->arg;
      const std::string name = std::move(self->name);
      lock.unlock();
      name_this_thread(name);
      body(arg);
      lock.lock();
      if (closing) continue;
      if (idle.size() >= idle_limit) {
        ended.push_back(std::move(self->thread));
        workers.erase(self);
        return;
      }
      idle.push_back(self);
    }
  }

  void run_timer() {
    name_this_thread("troupe-timer");
    std::unique_lock lock{mutex};
    while (!closing) {
      if (posted.empty()) {
        timer_wake.wait(lock);
        continue;
      }
      const auto due = posted.begin()->first.first;
      if (const auto now = clock_ns(); due > now) {
        timer_wake.wait_for(lock,
                            std::chrono::nanoseconds{std::min<std::uint64_t>(due - now, 3'600'000'000'000)});
        continue;
      }
      const auto task = posted.begin()->second;
      posted.erase(posted.begin());
      lock.unlock();
      task.first(task.second, 0);
      lock.lock();
    }
  }
};

HostThreads::HostThreads(std::size_t idle_limit) : state_(std::make_shared<State>(idle_limit)) {}

HostThreads::~HostThreads() {
  if (::getpid() != state_->process) {
    // In a child of fork, which has none of these threads to end: what they would need stays as it is.
    (void)new std::shared_ptr<State>(std::move(state_));
    return;
  }
  std::vector<std::thread> threads;
  decltype(State::posted) cancelled;
  {
    std::lock_guard lock{state_->mutex};
    state_->closing = true;
    threads.swap(state_->ended);
    for (auto& worker : state_->workers) {
      threads.push_back(std::move(worker.thread));
      worker.wake.notify_one();
    }
    if (state_->timer.joinable()) threads.push_back(std::move(state_->timer));
    state_->timer_wake.notify_one();
    cancelled.swap(state_->posted);
  }
  for (auto& thread : threads) {
    // The last share of a host may be dropped by one of its own threads; the state outlives that thread.
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else {
      thread.join();
    }
  }
  for (auto& [due, task] : cancelled) task.first(task.second, 1);
}

std::uint64_t HostThreads::now() noexcept { return clock_ns(); }

bool HostThreads::post(std::uint64_t delay_ns, Task task, void* arg) noexcept try {
  auto& state = *state_;
  std::lock_guard lock{state.mutex};
  if (state.closing) return false;
  if (!state.timer.joinable()) {
    if (!has_room_for_thread()) return false;
    state.timer = std::thread{[keep = state_] { keep->run_timer(); }};
  }
  const auto now = clock_ns();
  const auto due = now + std::min(delay_ns, std::numeric_limits<std::uint64_t>::max() - now);
  const auto place = state.posted.emplace(std::pair{due, state.posted_count++}, std::pair{task, arg}).first;
  if (place == state.posted.begin()) state.timer_wake.notify_one();
  return true;
} catch (...) {
  return false;  // no memory or no thread: the caller is told, nothing was taken
}

bool HostThreads::start_thread(const char* name, Body body, void* arg) noexcept try {
  auto& state = *state_;
  std::vector<std::thread> ended;
  {
    std::lock_guard lock{state.mutex};
    if (state.closing) return false;
    if (!state.idle.empty()) {
      auto worker = state.idle.back();
      worker->name = name != nullptr ? name : "troupe";
      state.idle.pop_back();
      worker->body = body;
      worker->arg = arg;
      worker->wake.notify_one();
    } else {
      if (!has_room_for_thread()) return false;
      auto worker = state.workers.emplace(state.workers.end());
      try {
        worker->name = name != nullptr ? name : "troupe";
        worker->body = body;
        worker->arg = arg;
        worker->thread = std::thread{[keep = state_, worker] { keep->work(worker); }};
      } catch (...) {
        state.workers.erase(worker);
        throw;
      }
      ++state.started;
    }
    ended.swap(state.ended);  // the last step, for who leaves before it leaves them to the next call
  }
  for (auto& thread : ended) thread.join();
  return true;
} catch (...) {
  return false;
}

std::size_t HostThreads::busy_threads() const {
  std::lock_guard lock{state_->mutex};
  return state_->workers.size() - state_->idle.size();
}

std::size_t HostThreads::threads_started() const {
  std::lock_guard lock{state_->mutex};
  return state_->started;
}

}  // namespace troupe::platform
