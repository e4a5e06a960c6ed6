#include "platform/conformance/probe.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "troupe/platform/device_context.hpp"

namespace troupe::conformance {

std::string name_of_code(std::int32_t code) {
  if (code == 0) return "0";
  const auto error = platform::device_error(code, "");
  return std::to_string(code) + " (" + std::string{error.code().name} + ")";
}

Subject::Inside::Inside(Subject& subject) : subject_(subject) {
  std::lock_guard lock{subject_.mutex_};
  subject_.inside_.push_back(std::this_thread::get_id());
}

Subject::Inside::~Inside() {
  std::lock_guard lock{subject_.mutex_};
  auto& inside = subject_.inside_;
  inside.erase(std::find(inside.begin(), inside.end(), std::this_thread::get_id()));
}

Subject::Subject(const platform::DeviceApi& api, std::shared_ptr<platform::Host> host,
                 std::shared_ptr<Complaints> complaints, std::chrono::milliseconds patience,
                 bool with_completions, const troupe_module_v1& module)
    : api_(api),
      host_(std::move(host)),
      complaints_(std::move(complaints)),
      patience_(patience),
      module_(module) {
  table_.abi_version = TROUPE_DEVICE_ABI_VERSION;
  table_.size = sizeof(table_);
  table_.data = this;
  table_.platform_data = api.platform_data;
  table_.log = [](void*, std::int32_t, std::int32_t, const char*) {};
  table_.now = [](void* data) { return static_cast<Subject*>(data)->host_->now(); };
  table_.post = [](void* data, std::uint64_t delay, void (*task)(void*, std::int32_t), void* arg) {
    return static_cast<Subject*>(data)->host_->post(delay, task, arg) ? 0 : 1;
  };
  table_.start_thread = [](void* data, const char* name, void (*body)(void*), void* arg) {
    return static_cast<Subject*>(data)->host_->start_thread(name, body, arg) ? 0 : 1;
  };
  if (with_completions) table_.complete = complete;
  table_.running = running;
  handle_ = api_.create_device_context(&table_);
  require(handle_ != nullptr, "create_device_context answered null");
}

void Subject::end() {
  std::int32_t code = 0;
  for (int i = 0; i < 50 && handle_ != nullptr; ++i) {  // a kernel that was just let go needs a moment
    code = destroy();
  }
  if (handle_ != nullptr && code != 0) {
    // A rule that failed left a kernel inside. The process ends soon; the context must not outlive its host.
    (void)new std::shared_ptr<platform::Host>(host_);  // NOLINT: kept on purpose
  }
}

std::int32_t Subject::destroy() {
  const auto code = api_.destroy_device_context(handle_);
  if (code == 0) handle_ = nullptr;
  std::lock_guard lock{mutex_};
  gone_ = true;
  return code;
}

void Subject::complete(void* data, const troupe_completion* completions, std::size_t count) {
  auto& self = *static_cast<Subject*>(data);
  if (self.in_callback_.fetch_add(1) != 0)
    self.complaints_->add("two completion callbacks of one context overlap");
  {
    std::lock_guard lock{self.mutex_};
    if (self.gone_) self.complaints_->add("a completion came after destroy had returned");
    for (const auto id : self.inside_) {
      if (id == std::this_thread::get_id()) {
        self.complaints_->add("a completion came on the stack of a function of the ABI");
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto& c = completions[i];
      if (!self.seen_.insert(c.correlation).second) {
        self.complaints_->add("run " + std::to_string(c.correlation) + " was completed twice");
      }
      if (c.code != 0 && (c.message == nullptr || c.message[0] == '\0')) {
        self.complaints_->add("run " + std::to_string(c.correlation) + " failed without a message");
      }
      if (c.finished_ns < c.started_ns) {
        self.complaints_->add("run " + std::to_string(c.correlation) + " ended before it began");
      }
      self.ends_.push_back({c.correlation, c.code, c.message != nullptr ? c.message : "", c.caused_by});
    }
  }
  if (self.action_) self.action_();
  self.in_callback_.fetch_sub(1);
  std::lock_guard lock{self.mutex_};
  self.heard_.notify_all();
}

troupe_running* Subject::running(void* data, troupe_running* what) {
  auto& self = *static_cast<Subject*>(data);
  const std::lock_guard lock{self.mutex_};
  auto& stack = self.entered_[std::this_thread::get_id()];
  auto* const now = stack.empty() ? &self.outside_ : stack.back().what;
  if (!stack.empty() && what == stack.back().before) {
    self.leave(what);
  } else if (what == nullptr || what == &self.outside_) {
    self.complaints_->add("a thread went out of '" + std::string{stack.empty() ? "" : now->name} +
                          "' without going back to what it was in before");
  } else {
    self.enter(*what);
  }
  return now;
}

void Subject::enter(troupe_running& what) {
  auto& stack = entered_[std::this_thread::get_id()];
  const auto text = [](const char* words) { return std::string{words != nullptr ? words : ""}; };
  Visit visit{text(what.what),
              text(what.name),
              text(what.task),
              what.correlation,
              what.block,
              what.block_count,
              {},
              what.words != nullptr,
              false};
  for (std::uint32_t i = 0; visit.knows_words && i < what.tensor_count; ++i) {
    std::uint64_t address_and_bytes[2];
    std::memcpy(address_and_bytes, reinterpret_cast<const void*>(what.words[i]), sizeof address_and_bytes);
    visit.tensor_bytes.push_back(address_and_bytes[1]);
  }
  what.where = "here";  // as a host may
  stack.push_back({&what, what, stack.empty() ? &outside_ : stack.back().what, visits_.size()});
  visits_.push_back(std::move(visit));
}

void Subject::leave(troupe_running* back) {
  auto& stack = entered_[std::this_thread::get_id()];
  const auto& last = stack.back();
  if (std::memcmp(&last.as_told, last.what, sizeof last.as_told) != 0) {
    complaints_->add("what was told of '" + visits_[last.visit].name + "' changed before the thread left it");
  }
  visits_[last.visit].left = back == last.before;
  stack.pop_back();
}

std::vector<Subject::Visit> Subject::visits() const {
  const std::lock_guard lock{mutex_};
  return visits_;
}

std::string Subject::last_text() {
  std::array<char, 512> text{};
  std::int32_t code = 0;
  (void)api_.device_last_error(handle_, &code, text.data(), text.size());
  return std::string{text.data()};
}

void Subject::answered(std::int32_t expected, std::int32_t got, const std::string& what) {
  if (got == 0) {
    require(expected == 0, what + " succeeded instead of answering " + name_of_code(expected));
    return;
  }
  require(got == expected, what + " answered " + name_of_code(got) + " instead of " + name_of_code(expected) +
                               ": " + last_text());
  std::array<char, 512> text{};
  std::int32_t code = 0;
  require(api_.device_last_error(handle_, &code, text.data(), text.size()) == 0,
          "device_last_error failed after " + what);
  require(code == got,
          what + " answered " + name_of_code(got) + " but the last error is " + name_of_code(code));
  require(text[0] != '\0', what + " failed without a sentence");
}

void Subject::set_device(std::int32_t device) { expect(0, "set_device", api_.set_device, device); }

std::uint64_t Subject::malloc(std::uint64_t bytes) {
  std::uint64_t address = 0;
  expect(0, "device_malloc_ctx of " + std::to_string(bytes) + " bytes", api_.device_malloc_ctx, bytes,
         &address);
  return address;
}

std::uint64_t Subject::kernel(const char* name) {
  troupe_callable callable{};
  callable.name = name;
  callable.module = &module_;
  std::uint64_t id = 0;
  expect(0, std::string{"registering '"} + name + "'", api_.register_callable, &callable, &id);
  return id;
}

void Subject::launch(const std::vector<troupe_run>& runs, std::uint64_t settled) {
  expect(0, "launch_runs", api_.launch_runs, runs.data(), runs.size(), settled);
}

std::int32_t Subject::run(const troupe_run& run) { return call(api_.run_runtime, &run, nullptr); }

std::vector<Subject::End> Subject::wait_for(std::size_t count) {
  std::unique_lock lock{mutex_};
  const bool came = heard_.wait_for(lock, patience_, [&] { return ends_.size() >= count; });
  if (!came) {
    throw Violation{"only " + std::to_string(ends_.size()) + " of " + std::to_string(count) +
                    " completions came"};
  }
  return ends_;
}

std::vector<Subject::End> Subject::ends() const {
  std::lock_guard lock{mutex_};
  return ends_;
}

std::vector<troupe_core_status> Subject::wait_busy(std::size_t cores) {
  // There is no event for "a kernel has begun", only the status to look at.
  const auto until = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    troupe_device_status status{};
    status.size = sizeof(status);
    std::vector<troupe_core_status> busy(64);
    std::size_t count = 0;
    expect(0, "device_status", api_.device_status, &status, busy.data(), busy.size(), &count);
    if (count == cores) {
      busy.resize(count);
      return busy;
    }
    if (const auto ended = ends(); !ended.empty() && cores != 0 && handle_ != nullptr) {
      require(ended.back().code == TROUPE_DEVICE_ABORTED,
              "run " + std::to_string(ended.back().correlation) + " ended with " +
                  name_of_code(ended.back().code) + " instead of running on: " + ended.back().message);
    }
    require(std::chrono::steady_clock::now() < until, "device_status shows " + std::to_string(count) +
                                                          " busy cores instead of " + std::to_string(cores));
    std::this_thread::yield();
  }
}

Probe::Probe(const platform::DeviceApi& api, std::chrono::milliseconds patience, const Materials& materials)
    : api_(api),
      host_(std::make_shared<platform::HostThreads>()),
      patience_(patience),
      materials_(materials) {
  if (materials_.module == nullptr) materials_.module = &kernels();
}

Held Probe::create(bool with_completions) {
  auto subject = std::make_unique<Subject>(api_, host_, complaints_, patience_, with_completions, module());
  subject->prefer(materials_.device);
  for (const auto& [name, value] : materials_.options) {
    subject->expect(0, "set_device_option(" + name + ")", api_.set_device_option, name.c_str(),
                    value.c_str());
  }
  std::lock_guard lock{mutex_};
  subjects_.push_back(std::move(subject));
  return Held{subjects_.back().get()};
}

Held Probe::ready() {
  auto subject = create();
  subject->set_device();
  return subject;
}

troupe_device_properties Probe::properties(Subject& subject) {
  troupe_device_properties properties{};
  properties.size = sizeof(properties);
  subject.expect(0, "device_properties", api_.device_properties, &properties);
  return properties;
}

void Probe::need(bool available, const char* what) const {
  if (!available) throw Skipped{std::string{"the library has no "} + what};
}

void Probe::need(std::uint32_t features) {
  if (features == 0) return;
  const auto subject = create();
  const auto missing = features & ~properties(*subject).features;
  if (missing != 0) throw Skipped{"the library does not promise " + name_of_features(missing)};
}

std::string name_of_features(std::uint32_t features) {
  constexpr std::pair<std::uint32_t, const char*> names[] = {
      {TROUPE_FEATURE_MODULES, "kernels of modules"},
      {TROUPE_FEATURE_FOREIGN_BYTES, "kernels from bytes"},
      {TROUPE_FEATURE_WINDOWS, "windows"},
      {TROUPE_FEATURE_COMM, "comm_*"},
      {TROUPE_FEATURE_OVERLAP, "runs that overlap"},
      {TROUPE_FEATURE_HOST_KERNELS, "kernels that are functions of this process"},
      {TROUPE_FEATURE_TOGETHER, "blocks that run together"},
      {TROUPE_FEATURE_GRAPHS, "graphs"},
      {TROUPE_FEATURE_MOVES, "moves"}};
  std::string text;
  for (const auto& [feature, name] : names) {
    if ((features & feature) != 0) text += (text.empty() ? "" : ", ") + std::string{name};
  }
  return text;
}

std::string Probe::complaint() const {
  std::lock_guard lock{complaints_->mutex};
  return complaints_->text;
}

Finding check(const Rule& rule, const platform::DeviceApi& api, std::chrono::milliseconds patience,
              const Materials& materials) {
  Probe probe{api, patience, materials};
  // What was seen of wrong completions is the better explanation of whatever else went wrong.
  const auto fail = [&probe](const std::string& what) -> Finding {
    const auto complaint = probe.complaint();
    if (complaint.empty()) return {Verdict::fail, what};
    return {Verdict::fail, what.empty() ? complaint : complaint + "; " + what};
  };
  try {
    probe.need(rule.needs);
    rule.check(probe);
    return probe.complaint().empty() ? Finding{} : fail({});
  } catch (const Violation& violation) {
    return fail(violation.what);
  } catch (const Skipped& skipped) {
    return {Verdict::skip, skipped.why};
  } catch (const std::exception& error) {
    return fail(std::string{"an exception: "} + error.what());
  }
}

}  // namespace troupe::conformance
