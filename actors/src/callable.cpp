#include "troupe/actors/callable.hpp"

#include <mutex>

namespace troupe::actors {
namespace {

runtime::Digest digest_of(const Callable& callable) {
  runtime::CallableName name;
  name.name = callable.name;
  if (callable.descriptor != nullptr && callable.module != nullptr) {
    name.kind = callable.descriptor->kind;
    name.signature = callable.descriptor->signature;
    const auto* code = reinterpret_cast<const void*>(callable.descriptor->invoke.kernel);
    if (auto digest = runtime::digest_of(name, code)) return *digest;
    // Nothing that can be hashed. But modules stay loaded for good, so the place tells it from all others.
    return runtime::Hasher()
        .field("at")
        .field(reinterpret_cast<std::uintptr_t>(callable.descriptor))
        .finish();
  }
  name.kind = TROUPE_CALLABLE_KERNEL;
  name.signature = callable.core_kind == CoreKind::matrix ? "aic" : "aiv";
  return runtime::digest_of(name, std::as_bytes(std::span(callable.bytes)));
}

}  // namespace

const runtime::Digest& Callable::digest() const {
  if (!identity.known_.empty()) return identity.known_;
  std::call_once(identity.once_, [this] { identity.digest_ = digest_of(*this); });
  return identity.digest_;
}

}  // namespace troupe::actors
