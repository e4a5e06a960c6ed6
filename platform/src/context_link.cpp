#include "context_link.hpp"

#include <mutex>
#include <utility>

#include "troupe/platform/crash_report.hpp"

namespace troupe::platform {

namespace {
ContextLink& link_of(void* data) { return *static_cast<ContextLink*>(data); }
}  // namespace

template <class Deliver>
void ContextLink::deliver(Deliver&& call) noexcept {
  std::shared_lock lock{mutex_};
  if (!cut_) call(events_);
}

ContextLink::ContextLink(std::shared_ptr<Host> host, ContextEvents events, const void* platform_data)
    : host_(std::move(host)), events_(std::move(events)) {
  table_.abi_version = TROUPE_DEVICE_ABI_VERSION;
  table_.size = sizeof(troupe_host);
  table_.data = this;
  table_.platform_data = platform_data;
  table_.log = [](void* data, std::int32_t level, std::int32_t code, const char* text) {
    auto& self = link_of(data);
    const std::string_view words = text != nullptr ? text : "";
    if (level == TROUPE_LOG_ERROR) {
      std::lock_guard lock{self.log_mutex_};
      self.last_logged_ = words;
      if (self.creator_ == std::this_thread::get_id()) return;  // it is told by who creates it
    }
    self.deliver([&](const ContextEvents& to) {
      if (to.log) to.log(level, code, words);
    });
  };
  table_.now = [](void* data) { return link_of(data).host_->now(); };
  table_.post = [](void* data, std::uint64_t delay_ns, void (*task)(void*, std::int32_t), void* arg) {
    return link_of(data).host_->post(delay_ns, task, arg) ? 0 : std::int32_t{TROUPE_DEVICE_SYSTEM};
  };
  table_.start_thread = [](void* data, const char* name, void (*body)(void*), void* arg) {
    auto& threads = *link_of(data).host_;
    if (!threads.has_threads()) return std::int32_t{TROUPE_DEVICE_UNSUPPORTED};
    return threads.start_thread(name, body, arg) ? 0 : std::int32_t{TROUPE_DEVICE_SYSTEM};
  };
  // Sinks that nobody listens to stay null, so that the platform need not produce the news.
  if (events_.trace) {
    table_.trace = [](void* data, const troupe_trace_event* trace, std::size_t count) {
      link_of(data).deliver([&](const ContextEvents& to) { to.trace({trace, count}); });
    };
  }
  if (events_.dump) {
    table_.dump = [](void* data, const troupe_dump_record* record) {
      link_of(data).deliver([&](const ContextEvents& to) { to.dump(*record); });
    };
  }
  if (!events_.where.empty()) {
    table_.running = [](void* data, troupe_running* what) {
      if (what != nullptr && what->where == nullptr) what->where = link_of(data).events_.where.c_str();
      return set_running(what);
    };
  }
  if (events_.complete) {
    table_.complete = [](void* data, const troupe_completion* completions, std::size_t count) {
      link_of(data).deliver([&](const ContextEvents& to) { to.complete({completions, count}); });
    };
  }
}

void ContextLink::created() {
  std::lock_guard lock{log_mutex_};
  creator_ = {};
}

void ContextLink::cut() {
  std::unique_lock lock{mutex_};
  cut_ = true;
}

std::string ContextLink::last_logged() const {
  std::lock_guard lock{log_mutex_};
  return last_logged_;
}

}  // namespace troupe::platform
