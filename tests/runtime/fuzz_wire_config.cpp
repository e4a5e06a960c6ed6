// A call configuration from any bytes: what decodes is valid and encodes to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "troupe/runtime/wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::runtime;
  const auto config = wire::decode_config(std::as_bytes(std::span(data, size)));
  if (!config) return 0;
  if (!validate(*config)) std::abort();
  const auto again = wire::encode(*config);
  if (again.size() > size || std::memcmp(again.data(), data, again.size()) != 0) std::abort();
  return 0;
}
