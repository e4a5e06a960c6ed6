#include "code/callables.hpp"

#include <optional>
#include <utility>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::platform::common {

namespace {

const troupe_callable_v1* find_in(const troupe_module_v1& module, std::string_view name,
                                  auto wanted) noexcept {
  for (const auto* const* entry = module.begin; entry != module.end; ++entry) {
    if (*entry != nullptr && name == (*entry)->name && wanted(**entry)) return *entry;
  }
  return nullptr;
}

constexpr auto is_kernel = [](const troupe_callable_v1& callable) {
  return callable.kind == TROUPE_CALLABLE_KERNEL;
};
constexpr auto runs_on_chip = [](const troupe_callable_v1& callable) {
  return callable.kind == TROUPE_CALLABLE_KERNEL || callable.kind == TROUPE_CALLABLE_CHIP_PROGRAM;
};

Result<void> fill_from_module(RegisteredCallable& target, const troupe_callable& callable,
                              const LoadFromModule& load) {
  if (auto valid = runtime::validate(callable.module, target.name); !valid) {
    return Error(Errc::bad_callable, "the module of callable '" + target.name + "' is malformed")
        .caused_by(valid.error());
  }
  target.module = callable.module;
  target.descriptor = find_in(*callable.module, target.name, runs_on_chip);
  if (target.descriptor == nullptr) {
    return Error(Errc::unknown_callable, "module '" + std::string(callable.module->name) +
                                             "' has no kernel or chip program '" + target.name + "'");
  }
  if (!load) return {};
  auto image = load(*target.module, *target.descriptor);
  if (!image) return image.error();
  target.image = *std::move(image);
  return {};
}

/// What comes as bytes may have code that runs when it is linked in or taken out, and may crash there.
class Inside {
 public:
  Inside(const HostServices* host, const char* what, const RegisteredCallable& callable)
      : telling_(host, [&](troupe_running& running) {
          running.what = what;
          running.name = callable.name.c_str();
          running.core = TROUPE_NO_CORE;
        }) {}

 private:
  Telling telling_;
};

Result<void> fill_from_bytes(RegisteredCallable& target, const troupe_callable& callable,
                             const LoadCode& load, const HostServices* host) {
  if (callable.byte_count == 0) {
    return Error(Errc::bad_callable, "kernel '" + target.name + "' has no bytes");
  }
  if (callable.core_kind > TROUPE_CORE_AIV) {
    return Error(Errc::invalid_argument, "kernel '" + target.name + "': core kind " +
                                             std::to_string(callable.core_kind) + " is neither AIC nor AIV");
  }
  constexpr auto most = runtime::limits::core_tensors + runtime::limits::core_scalars;
  if (callable.signature_count > most || (callable.signature_count != 0 && callable.signature == nullptr)) {
    return Error(Errc::invalid_argument, "kernel '" + target.name + "': a signature of " +
                                             std::to_string(callable.signature_count) + " arguments");
  }
  for (std::uint32_t i = 0; i < callable.signature_count; ++i) {
    const std::uint8_t word = callable.signature[i];
    if (word == TROUPE_SIGNATURE_SCALAR || runtime::is_tag(word)) continue;
    return Error(Errc::invalid_argument,
                 "kernel '" + target.name + "': its signature has the unknown tag " + std::to_string(word));
  }
  const Inside loading(host, "the loading of callable", target);
  auto code = load(target.name, {static_cast<const std::byte*>(callable.bytes),
                                 static_cast<std::size_t>(callable.byte_count)});
  if (!code) return code.error();
  target.foreign = *std::move(code);
  target.core_kind = callable.core_kind;
  target.signature.assign(callable.signature, callable.signature + callable.signature_count);
  return {};
}

}  // namespace

Result<std::uint64_t> CallableTable::add(const troupe_callable& callable) {
  if (callable.name == nullptr || callable.name[0] == '\0') {
    return Error(Errc::invalid_argument, "a callable without a name");
  }
  if ((callable.module == nullptr) == (callable.bytes == nullptr)) {
    return Error(Errc::invalid_argument,
                 "callable '" + std::string(callable.name) + "': give either a module or bytes");
  }
  const std::shared_ptr<RegisteredCallable> made(
      new RegisteredCallable, [host = host_](RegisteredCallable* gone) {
        const std::unique_ptr<RegisteredCallable> own(gone);
        const Inside unloading(host, "the unloading of callable", *own);
        own->foreign = nullptr;
      });
  made->name = callable.name;
  if (made->name.size() > runtime::limits::callable_name) {
    return Error(Errc::invalid_argument,
                 "a callable name of " + std::to_string(made->name.size()) + " bytes");
  }
  auto filled = callable.module != nullptr ? fill_from_module(*made, callable, load_from_module_)
                                           : fill_from_bytes(*made, callable, load_, host_);
  if (!filled) return filled.error();

  const std::lock_guard lock(mutex_);
  if (by_name_.contains(made->name)) {
    return Error(Errc::already_registered, "this chip already has a callable '" + made->name + "'",
                 "unregister the old one first");
  }
  made->id = next_++;
  by_name_.emplace(made->name, made->id);
  by_id_.emplace(made->id, made);
  return made->id;
}

std::uint64_t CallableTable::add_graph(std::string name, std::unique_ptr<LoadedCode> graph) {
  auto made = std::make_shared<RegisteredCallable>();
  made->name = std::move(name);
  made->core_kind = TROUPE_CORE_CONTROL;
  made->graph = std::move(graph);
  const std::lock_guard lock(mutex_);
  made->id = next_++;
  return graphs_.emplace(made->id, std::move(made)).first->first;
}

Result<void> CallableTable::remove_graph(std::uint64_t id) {
  std::shared_ptr<const RegisteredCallable> removed;  // goes after the lock
  const std::lock_guard lock(mutex_);
  auto found = graphs_.find(id);
  if (found == graphs_.end()) return Error(Errc::unknown_callable, "no graph with id " + std::to_string(id));
  removed = std::move(found->second);
  graphs_.erase(found);
  return {};
}

std::shared_ptr<const RegisteredCallable> CallableTable::find_graph(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  auto found = graphs_.find(id);
  return found == graphs_.end() ? nullptr : found->second;
}

Result<void> CallableTable::remove(std::uint64_t id) {
  std::shared_ptr<const RegisteredCallable> removed;  // unloaded after the lock is gone
  const std::lock_guard lock(mutex_);
  auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    return Error(Errc::unknown_callable, "no callable with id " + std::to_string(id));
  }
  removed = std::move(found->second);
  by_name_.erase(removed->name);
  by_id_.erase(found);
  return {};
}

Result<std::shared_ptr<const RegisteredCallable>> CallableTable::find(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  auto found = by_id_.find(id);
  if (found != by_id_.end()) return found->second;
  return Error(Errc::unknown_callable, "no callable with id " + std::to_string(id),
               "register it on this chip before launching it");
}

std::shared_ptr<const RegisteredCallable> CallableTable::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : by_id_.at(found->second);
}

std::size_t CallableTable::size() const {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

std::string signature_defect(const std::vector<std::uint8_t>& signature, std::span<const runtime::Tag> tags,
                             std::size_t scalars) {
  using runtime::Tag;
  if (signature.size() != tags.size() + scalars) {
    return std::to_string(tags.size()) + " tensors and " + std::to_string(scalars) + " scalars instead of " +
           std::to_string(signature.size()) + " arguments";
  }
  for (std::size_t i = 0; i < signature.size(); ++i) {
    const bool wants_scalar = signature[i] == TROUPE_SIGNATURE_SCALAR;
    if (wants_scalar != (i >= tags.size())) {
      return "argument " + std::to_string(i) + " is to be a " + (wants_scalar ? "scalar" : "tensor");
    }
    if (wants_scalar) continue;
    const auto wanted = static_cast<Tag>(signature[i]);
    const bool reads = wanted != Tag::out && wanted != Tag::out_existing;
    const bool copies_in = tags[i] != Tag::out && tags[i] != Tag::out_existing;
    if ((!runtime::writes(wanted) || runtime::writes(tags[i])) && (!reads || copies_in)) continue;
    return "argument " + std::to_string(i) + " is passed as " + std::string(runtime::name_of(tags[i])) +
           ", the kernel takes it as " + std::string(runtime::name_of(wanted));
  }
  return {};
}

const troupe_callable_v1* find_kernel(const troupe_module_v1& module, std::string_view name) noexcept {
  return find_in(module, name, is_kernel);
}

}  // namespace troupe::platform::common
