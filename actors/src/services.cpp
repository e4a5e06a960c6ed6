#include "services.hpp"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>
#include <system_error>

#include "actor_host.hpp"
#include "recorder.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/manual_host.hpp"

namespace troupe::actors {

Services::Services(const SystemConfig& config)
    : host_(config.host),
      deterministic_(config.deterministic),
      log_level_(config.log_level),
      sink_(config.log) {
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

void Services::log(int level, std::string_view path, std::string_view text) const {
  if (level > log_level_) return;
  if (sink_) return sink_(level, path, text);
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

void Services::run_blocking(const char* name, std::function<void()> work) {
  struct Job {
    std::shared_ptr<Services> services;
    std::function<void()> work;
  };
  auto job = std::make_unique<Job>(Job{shared_from_this(), std::move(work)});
  {
    std::lock_guard guard(mutex_);
    ++working_;
  }
  auto body = [](void* arg) {
    std::unique_ptr<Job> own(static_cast<Job*>(arg));
    own->work();
    own->work = nullptr;
    // The services outlive this thread: the system waits for it before it lets go of them.
    auto* services = own->services.get();
    own.reset();
    std::lock_guard guard(services->mutex_);
    if (--services->working_ == 0) services->idle_.notify_all();
  };
  if (host_->start_thread(name, body, job.get())) {
    (void)job.release();
  } else {
    body(job.release());
  }
}

void Services::close(platform::DeviceContext context, std::string path,
                     std::function<void(Result<void>)> then) {
  auto held = std::make_shared<platform::DeviceContext>(std::move(context));
  run_blocking("troupe-close", [this, held, path = std::move(path), then = std::move(then)] {
    auto closed = held->close();
    if (!closed) warn(path, "not closed, kept in quarantine: " + closed.error().message());
    if (then) then(std::move(closed));
  });
}

bool Services::wait_until_idle(std::chrono::nanoseconds patience) {
  std::unique_lock guard(mutex_);
  return idle_.wait_for(guard, patience, [this] { return working_ == 0; });
}

}  // namespace troupe::actors
