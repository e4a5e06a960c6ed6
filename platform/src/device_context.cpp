#include "troupe/platform/device_context.hpp"

#include <array>
#include <utility>

#include "device_context_state.hpp"

namespace troupe::platform {

namespace {

std::string hex(std::uint64_t address) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[address & 15]);
    address >>= 4;
  } while (address != 0);
  return "0x" + text;
}

}  // namespace

Result<void> DeviceContext::State::answer(std::int32_t code, const std::string& what) const {
  if (code == 0) return {};
  std::int32_t last = 0;
  std::array<char, 1024> text{};
  if (api.device_last_error(handle, &last, text.data(), text.size()) != 0 || last != code) text[0] = '\0';
  text.back() = '\0';
  const auto id = device_id.load();
  const std::string where = id >= 0 ? " on device " + std::to_string(id) : "";
  const std::string reason = text[0] != '\0' ? std::string{text.data()} : "code " + std::to_string(code);
  return device_error(code, what + where + " failed: " + reason);
}

Error DeviceContext::State::wrong_phase(const std::string& what) const {
  switch (phase.load()) {
    case Phase::created:
      return Error{Errc::invalid_state, what + ": no device is set", "call set_device() first"};
    case Phase::ready:
      return Error{Errc::invalid_state, what + ": device " + std::to_string(device_id) + " is already set",
                   "call reset_device() before switching devices"};
    case Phase::finalized:
      return Error{Errc::finalized, what + ": this context is already finalized",
                   "a finalized context stays so: create another one"};
    case Phase::closed:
      break;
  }
  return Error{Errc::finalized, what + ": this context is closed", "create another one"};
}

Result<void> DeviceContext::State::need_device(const std::string& what) const {
  if (phase != Phase::ready) return wrong_phase(what);
  return {};
}

Result<void> DeviceContext::State::need_open(const std::string& what) const {
  if (phase == Phase::finalized || phase == Phase::closed) return wrong_phase(what);
  return {};
}

Error DeviceContext::State::unsupported(const char* symbol) const {
  return Error{Errc::unsupported, "platform '" + api.name + "' lacks the optional function '" + symbol + "'",
               "use a platform that has it; troupe-conformance lists what a library exports"};
}

void DeviceContext::State::quarantine() {
  const auto host = link->host();
  host->quarantine([kept = std::shared_ptr<ContextLink>{std::move(link)},
                    destroy = api.destroy_device_context, alive = api.keep_alive,
                    context = std::exchange(handle, nullptr)] { return destroy(context) == 0; });
}

Result<DeviceContext> DeviceContext::create(DeviceApi api, std::shared_ptr<Host> host, ContextEvents events) {
#define TROUPE_CHECK(symbol)                                                               \
  if (api.symbol == nullptr) {                                                             \
    return Error{Errc::missing_symbol, "platform '" + api.name + "' lacks '" #symbol "'"}; \
  }
  TROUPE_DEVICE_REQUIRED_SYMBOLS(TROUPE_CHECK)
#undef TROUPE_CHECK
  if (!host) return Error{Errc::invalid_argument, "DeviceContext::create: no host", "pass a HostThreads"};
  auto state = std::make_unique<State>();
  state->api = std::move(api);
  state->link = std::make_unique<ContextLink>(std::move(host), std::move(events), state->api.platform_data);
  state->handle = state->api.create_device_context(&state->link->table());
  if (state->handle == nullptr) {
    const auto reason = state->link->last_logged();
    return Error{Errc::internal, "platform '" + state->api.name + "' created no context" +
                                     (reason.empty() ? std::string{} : ": " + reason)};
  }
  state->link->created();
  return DeviceContext{std::move(state)};
}

DeviceContext::DeviceContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeviceContext::DeviceContext(DeviceContext&&) noexcept = default;
DeviceContext& DeviceContext::operator=(DeviceContext&& other) noexcept {
  if (this != &other) {
    if (state_) (void)close();
    state_ = std::move(other.state_);
  }
  return *this;
}
DeviceContext::~DeviceContext() {
  if (state_) (void)close();
}

Result<void> DeviceContext::close() {
  if (state_->phase == Phase::closed) return {};
  state_->leave_comm();  // destroy would take it down too, but not the stream
  const auto code = state_->api.destroy_device_context(state_->handle);
  auto answer = state_->answer(code, "destroying the context");
  state_->phase = Phase::closed;
  state_->link->cut();
  if (code == 0) {
    state_->handle = nullptr;
    state_->link.reset();
  } else {
    state_->quarantine();
  }
  state_->device_id = -1;
  return answer;
}

Result<void> DeviceContext::set_option(const std::string& name, const std::string& value) {
  if (state_->phase != Phase::created) return state_->wrong_phase("set_option(" + name + ")");
  return state_->answer(state_->api.set_device_option(state_->handle, name.c_str(), value.c_str()),
                        "set_option(" + name + "=" + value + ")");
}

Result<void> DeviceContext::set_device(std::int32_t device_id) {
  const auto what = "set_device(" + std::to_string(device_id) + ")";
  if (state_->phase != Phase::created) return state_->wrong_phase(what);
  auto answer = state_->answer(state_->api.set_device(state_->handle, device_id), what);
  if (!answer) return answer;
  state_->phase = Phase::ready;
  state_->device_id = device_id;
  return {};
}

Result<void> DeviceContext::reset_device() {
  if (auto open = state_->need_open("reset_device"); !open) return open;
  state_->leave_comm();
  auto answer = state_->answer(state_->api.reset_device(state_->handle), "reset_device");
  if (!answer) return answer;
  state_->phase = Phase::created;
  state_->device_id = -1;
  return {};
}

Result<void> DeviceContext::finalize() {
  if (state_->phase == Phase::finalized || state_->phase == Phase::closed) return {};
  state_->leave_comm();
  auto answer = state_->answer(state_->api.finalize_device(state_->handle), "finalize");
  if (!answer) return answer;
  state_->phase = Phase::finalized;
  state_->device_id = -1;
  return {};
}

Result<std::uint64_t> DeviceContext::malloc(std::uint64_t bytes) {
  if (auto ready = state_->need_device("malloc"); !ready) return ready.error();
  std::uint64_t address = 0;
  auto answer = state_->answer(state_->api.device_malloc_ctx(state_->handle, bytes, &address),
                               "malloc of " + std::to_string(bytes) + " bytes");
  if (!answer) return answer.error();
  return address;
}

Result<void> DeviceContext::free(std::uint64_t address) {
  if (auto ready = state_->need_device("free"); !ready) return ready;
  return state_->answer(state_->api.device_free_ctx(state_->handle, address), "free of " + hex(address));
}

Result<void> DeviceContext::copy_to(std::uint64_t device_address, const void* host, std::uint64_t bytes) {
  if (auto ready = state_->need_device("copy_to"); !ready) return ready;
  return state_->answer(state_->api.copy_to_device_ctx(state_->handle, device_address, host, bytes),
                        "copy_to of " + std::to_string(bytes) + " bytes at " + hex(device_address));
}

Result<void> DeviceContext::copy_from(void* host, std::uint64_t device_address, std::uint64_t bytes) {
  if (auto ready = state_->need_device("copy_from"); !ready) return ready;
  return state_->answer(state_->api.copy_from_device_ctx(state_->handle, host, device_address, bytes),
                        "copy_from of " + std::to_string(bytes) + " bytes at " + hex(device_address));
}

Result<std::uint64_t> DeviceContext::register_callable(const std::string& name,
                                                       const troupe_module_v1& module) {
  troupe_callable callable{};
  callable.name = name.c_str();
  callable.module = &module;
  return register_callable(callable);
}

Result<std::uint64_t> DeviceContext::register_callable(const troupe_callable& callable) {
  const std::string name = callable.name != nullptr ? callable.name : "";
  if (auto ready = state_->need_device("register_callable(" + name + ")"); !ready) return ready.error();
  std::uint64_t id = 0;
  auto answer = state_->answer(state_->api.register_callable(state_->handle, &callable, &id),
                               "registering callable '" + name + "'");
  if (!answer) return answer.error();
  return id;
}

Result<void> DeviceContext::unregister_callable(std::uint64_t id) {
  if (auto ready = state_->need_device("unregister_callable"); !ready) return ready;
  return state_->answer(state_->api.unregister_callable(state_->handle, id), "unregister_callable");
}

Result<void> DeviceContext::launch(std::span<const troupe_run> runs, std::uint64_t settled) {
  if (state_->phase != Phase::ready) return state_->wrong_phase("launch");
  const auto code = state_->api.launch_runs(state_->handle, runs.data(), runs.size(), settled);
  if (code == 0) return {};  // no text is built on the hot path
  return state_->answer(code, "launch of " + std::to_string(runs.size()) + " runs");
}

Result<troupe_completion> DeviceContext::run(const troupe_run& run) {
  if (auto ready = state_->need_device("run"); !ready) return ready.error();
  troupe_completion completion{};
  const auto code = state_->api.run_runtime(state_->handle, &run, &completion);
  if (code == 0) return completion;
  return state_->answer(code, "run").error();
}

Result<void> DeviceContext::abort(std::uint64_t correlation) {
  if (auto ready = state_->need_device("abort"); !ready) return ready;
  return state_->answer(state_->api.abort_runs(state_->handle, correlation), "abort");
}

bool DeviceContext::has_graphs() const noexcept {
  const auto& api = state_->api;
  return api.register_graph != nullptr && api.launch_graph != nullptr && api.unregister_graph != nullptr;
}

Result<std::uint64_t> DeviceContext::register_graph(const troupe_graph& graph) {
  if (!has_graphs()) return state_->unsupported("register_graph");
  if (auto ready = state_->need_device("register_graph"); !ready) return ready.error();
  std::uint64_t id = 0;
  const std::string name = graph.name != nullptr ? graph.name : "";
  auto answer = state_->answer(state_->api.register_graph(state_->handle, &graph, &id),
                               "registering graph '" + name + "'");
  if (!answer) return answer.error();
  return id;
}

Result<void> DeviceContext::launch_graph(const troupe_run& run, std::uint64_t settled) {
  if (!has_graphs()) return state_->unsupported("launch_graph");
  if (state_->phase != Phase::ready) return state_->wrong_phase("launch_graph");
  return state_->answer(state_->api.launch_graph(state_->handle, &run, settled), "launch of a graph");
}

Result<void> DeviceContext::unregister_graph(std::uint64_t id) {
  if (!has_graphs()) return state_->unsupported("unregister_graph");
  if (auto ready = state_->need_device("unregister_graph"); !ready) return ready;
  return state_->answer(state_->api.unregister_graph(state_->handle, id), "unregister_graph");
}

Result<troupe_device_properties> DeviceContext::properties() const {
  if (state_->phase == Phase::closed) return state_->wrong_phase("properties");
  troupe_device_properties properties{};
  properties.size = sizeof(properties);
  auto answer = state_->answer(state_->api.device_properties(state_->handle, &properties), "properties");
  if (!answer) return answer.error();
  return properties;
}

Result<DeviceStatus> DeviceContext::status() const {
  if (state_->phase == Phase::closed) return state_->wrong_phase("status");
  DeviceStatus status;
  std::size_t count = 8;
  // More cores may have become busy between two calls: ask again until all of them fitted.
  do {
    status.busy.resize(count);
    status.totals = {};
    status.totals.size = sizeof(status.totals);
    auto answer = state_->answer(state_->api.device_status(state_->handle, &status.totals, status.busy.data(),
                                                           status.busy.size(), &count),
                                 "status");
    if (!answer) return answer.error();
  } while (count > status.busy.size());
  status.busy.resize(count);
  return status;
}

std::int32_t DeviceContext::device_id() const noexcept { return state_->device_id; }
bool DeviceContext::closed() const noexcept { return !state_ || state_->phase == Phase::closed; }
const DeviceApi& DeviceContext::api() const noexcept { return state_->api; }

}  // namespace troupe::platform
