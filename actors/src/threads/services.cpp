#include "threads/services.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <system_error>

#include "threads/actor_host.hpp"
#include "threads/cannot_go_on.hpp"
#include "threads/replies.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/manual_host.hpp"

namespace troupe::actors {

namespace {

std::uint64_t draw() {
  std::random_device chance;
  return std::uint64_t{chance()} << 32U | chance();
}

}  // namespace

Error no_thread_for(const std::string& what) {
  return {Errc::out_of_threads, "no thread for " + what, comm::threads_hint()};
}

Services::Services(const SystemConfig& config)
    : host_(config.host),
      deterministic_(config.deterministic),
      reports_crashes_(config.report_crashes),
      log_level_(config.log_level),
      sink_(config.log),
      identity_(draw()) {
  if (!host_ && deterministic_) host_ = std::make_shared<platform::ManualHost>();
  if (!host_) host_ = actor_host_ = std::make_shared<ActorHost>();
  if (!sink_ && !config.log_file.empty()) {
    file_ = {std::fopen(config.log_file.c_str(), "ae"), [](std::FILE* file) { return std::fclose(file); }};
    if (!file_) {
      throw Error(Errc::bad_argument, "log file " + config.log_file + ": " +
                                          std::error_code(errno, std::generic_category()).message());
    }
  }
  if (config.trace) recorder_ = std::make_shared<const Recorder>(config.trace, config.dump, host_);
}

void Services::attach(caf::actor_system& system) {
  if (actor_host_) actor_host_->attach(system);
}
void Services::detach() {
  if (actor_host_) actor_host_->detach();
}

Stay::~Stay() {
  if (services_ != nullptr) services_->left();
}

Stay Services::stay() {
  std::lock_guard guard(mutex_);
  ++staying_;
  return Stay(this);
}
Stay Services::enter() {
  if (!in_own_process()) return {};  // the mutex may be held by a thread that is not there
  std::lock_guard guard(mutex_);
  if (going()) return {};
  ++staying_;
  return Stay(this);
}
void Services::close_gate() {
  std::lock_guard guard(mutex_);
  going_.store(true, std::memory_order_relaxed);
}
void Services::left() {
  std::lock_guard guard(mutex_);
  if (--staying_ == 0) idle_.notify_all();
}

void Services::log(int level, std::string_view path, std::string_view text) const noexcept {
  if (level > log_level_) return;
  if (sink_) {
    try {
      return sink_(level, path, text);
    } catch (...) {
      // The user's sink is broken; the line goes where it would go without one.
    }
  }
  constexpr const char* names[] = {"", "error", "warning", "info", "debug"};
  const char* name = level >= 1 && level <= 4 ? names[level] : "note";
  char when[40] = "";
  if (file_) {
    std::tm utc{};
    const auto now = std::time(nullptr);
    (void)std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ ", gmtime_r(&now, &utc));
  }
  // One call, so that lines of different threads do not mix.
  auto* to = file_ ? file_.get() : stderr;
  std::fprintf(to, "%stroupe %s: %.*s: %.*s\n", when, name, static_cast<int>(path.size()), path.data(),
               static_cast<int>(text.size()), text.data());
  if (file_) std::fflush(to);
}

bool Services::try_blocking(const char* name, std::function<void()>& work) {
  struct Job {
    Stay stay;  // goes last: after it, the services may be gone
    std::shared_ptr<Services> services;
    const char* name;
    std::function<void()> work;
  };
  auto job = std::make_unique<Job>(Job{stay(), shared_from_this(), name, std::move(work)});
  auto body = [](void* arg) {
    const std::unique_ptr<Job> own(static_cast<Job*>(arg));
    own->services->perform(own->name, own->work);
  };
  if (host_->start_thread(name, body, job.get())) {
    (void)job.release();
    return true;
  }
  work = std::move(job->work);
  return false;
}

void Services::perform(const char* name, const std::function<void()>& work) const noexcept {
  try {
    work();
  } catch (...) {
    cannot_go_on(name);  // who waits for what it was to do would wait for ever
  }
}

void Services::run_blocking(const char* name, std::function<void()> work) {
  if (try_blocking(name, work)) return;
  if (!deterministic_)
    debug("system", [&] { return std::string("no thread for ") + name + ": done in place"; });
  perform(name, work);
}

bool Services::run_next_apart() {
  std::function<void()> work;
  {
    std::lock_guard guard(mutex_);
    if (apart_.empty()) return false;
    work = std::move(apart_.front());
    apart_.pop_front();
  }
  work();
  return true;
}

bool Services::try_apart(const char* name, std::function<void()>& work) {
  if (!deterministic_) return try_blocking(name, work);
  {
    std::lock_guard guard(mutex_);
    apart_.push_back(std::move(work));
  }
  // The work stays here: the host, which what it holds keeps alive, must not keep it in turn.
  auto token = std::make_unique<std::weak_ptr<Services>>(weak_from_this());
  auto turn = [](void* arg, std::int32_t cancelled) {
    const std::unique_ptr<std::weak_ptr<Services>> own(static_cast<std::weak_ptr<Services>*>(arg));
    const auto services = cancelled == 0 ? own->lock() : nullptr;
    if (services) (void)services->run_next_apart();
  };
  if (host_->post(0, turn, token.get())) {
    (void)token.release();
  } else {
    (void)run_next_apart();
  }
  return true;
}

void Services::run_apart(const char* name, std::function<void()> work) {
  if (!try_apart(name, work)) run_blocking(name, std::move(work));
}

bool Services::wait_until_idle(std::chrono::nanoseconds patience) {
  while (run_next_apart()) {
  }
  std::unique_lock guard(mutex_);
  return idle_.wait_for(guard, patience, [this] { return staying_ == 0; });
}

}  // namespace troupe::actors
