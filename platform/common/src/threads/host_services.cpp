#include "threads/host_services.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace troupe::platform::common {

struct HostServices::OwnThread {
  HostServices* host;
  void (*body)(void*);
  void* argument;
};

HostServices::HostServices(const troupe_host* host) {
  // An older host has a shorter table.
  if (host != nullptr) std::memcpy(&table_, host, std::min<std::size_t>(host->size, sizeof table_));
}

HostServices::~HostServices() {
  std::unique_lock lock(mutex_);
  all_returned_.wait(lock, [this] { return own_threads_ == 0; });
}

void HostServices::log(troupe_log_level level, std::int32_t code, const std::string& text) const noexcept {
  if (table_.log != nullptr) {
    table_.log(table_.data, level, code, text.c_str());
  } else if (level == TROUPE_LOG_ERROR) {
    std::fprintf(stderr, "troupe: %s [%d]\n", text.c_str(), code);
  }
}

std::uint64_t HostServices::now() const noexcept {
  if (table_.now != nullptr) return table_.now(table_.data);
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

void* HostServices::run_own_thread(void* thread) {
  const std::unique_ptr<OwnThread> own(static_cast<OwnThread*>(thread));
  own->body(own->argument);
  const std::lock_guard lock(own->host->mutex_);
  --own->host->own_threads_;
  own->host->all_returned_.notify_all();
  return nullptr;
}

bool HostServices::start_thread(const char* name, void (*body)(void*), void* argument) noexcept {
  if (table_.start_thread != nullptr) {
    const std::int32_t answer = table_.start_thread(table_.data, name, body, argument);
    if (answer != 0 && answer != TROUPE_DEVICE_SYSTEM) threadless_.store(true, std::memory_order_relaxed);
    return answer == 0;
  }
  auto* own = new (std::nothrow) OwnThread{this, body, argument};
  if (own == nullptr) return false;
  {
    const std::lock_guard lock(mutex_);
    ++own_threads_;
  }
  // Detached, because the thread itself reports that it is done; nobody waits for its identity.
  pthread_t thread{};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const int refused = pthread_create(&thread, &attributes, &run_own_thread, own);
  pthread_attr_destroy(&attributes);
  if (refused == 0) return true;
  delete own;
  const std::lock_guard lock(mutex_);
  --own_threads_;
  return false;
}

bool HostServices::post(void (*task)(void*, std::int32_t), void* argument) noexcept {
  return table_.post != nullptr && table_.post(table_.data, 0, task, argument) == 0;
}

}  // namespace troupe::platform::common
