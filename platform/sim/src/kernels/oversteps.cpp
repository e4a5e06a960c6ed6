#include "kernels/oversteps.hpp"

#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

Error overstepped(const std::string& who, std::uint32_t tensor, const Overstep& what) {
  const std::string name = "tensor " + std::to_string(tensor);
  std::string bytes = what.nearest == what.farthest ? "byte " : "bytes ";
  bytes += std::to_string(what.nearest);
  if (what.nearest != what.farthest) bytes += " to " + std::to_string(what.farthest);
  const char* hint = "does it take its bounds from the tensor's descriptor?";
  switch (what.where) {
    case Overstep::Where::before:
      return Error(Errc::kernel_failed,
                   who + " wrote before the beginning of " + name + ": " + bytes + " in front of it", hint);
    case Overstep::Where::behind:
      return Error(Errc::kernel_failed, who + " wrote past the end of " + name + ": " + bytes + " behind it",
                   hint);
    default:
      return Error(Errc::kernel_failed,
                   who + " wrote between the elements of " + name + ", which is a view: " + bytes +
                       " from its beginning",
                   "the elements of a view are strides apart");
  }
}

}  // namespace troupe::platform::sim
