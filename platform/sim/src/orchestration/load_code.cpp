#include "orchestration/load_code.hpp"

#include <string>
#include <utility>

#include "kernels/kernels.hpp"
#include "orchestration/orchestration_object.hpp"
#include "orchestration/packed_callable.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

Result<std::unique_ptr<LoadedCode>> load_code(std::string_view name, std::span<const std::byte> bytes) {
  const auto packed = unpack_callable(bytes);
  if (!packed)
    return Error(packed.error().code(),
                 "cannot load '" + std::string(name) + "': " + packed.error().message());
  const bool is_program = packed->form == PackedCallable::Form::orchestration;
  // Before it is linked it does not show which of the two it is.
  if (packed->form == PackedCallable::Form::kernel || !ForeignKernel::publish_hooks())
    return ForeignKernel::load(name, packed->object);
  // Orchestrations are linked as they were there, where some name functions that they never call.
  auto object = HostObject::load(name, packed->object,
                                 is_program ? HostObject::Missing::allowed : HostObject::Missing::refused);
  if (object && (is_program || OrchestrationObject::is_one(*object)))
    return OrchestrationObject::load(name, *std::move(object), *packed);
  if (object) return ForeignKernel::load(name, *std::move(object));
  if (!is_program) return ForeignKernel::load(name, packed->object);  // says why not
  return Error(Errc::bad_callable,
               "cannot load orchestration '" + std::string(name) + "': " + object.error().message());
}

}  // namespace troupe::platform::sim
