// For tests: callables packed as the other system packs them, written from the layouts of its binary
// interface.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace troupe::tests {

using PackedBytes = std::vector<char>;

template <class T>
void put_at(PackedBytes& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// A kernel object with its signature (0 scalar, 1 in, 2 out, 3 inout).
inline PackedBytes pack_kernel(const std::vector<char>& object, const std::vector<std::int32_t>& signature) {
  PackedBytes bytes(192 + object.size());
  for (std::size_t i = 0; i < signature.size(); ++i) put_at(bytes, 4 * i, signature[i]);
  put_at(bytes, 128, static_cast<std::int32_t>(signature.size()));
  put_at(bytes, 132, static_cast<std::uint32_t>(object.size()));
  std::copy(object.begin(), object.end(), bytes.begin() + 192);
  return bytes;
}

struct PackedChild {
  std::int32_t number = 0;
  PackedBytes kernel;
};

/// An orchestration object with the kernels that it names.
inline PackedBytes pack_orchestration(const std::vector<char>& object, const std::string& entry,
                                      const std::vector<std::int32_t>& signature,
                                      const std::vector<PackedChild>& children,
                                      const std::string& config = "aicpu_orchestration_config") {
  constexpr std::size_t storage = 9376;
  PackedBytes bytes(storage);
  for (std::size_t i = 0; i < signature.size(); ++i) put_at(bytes, 4 * i, signature[i]);
  put_at(bytes, 1024, static_cast<std::int32_t>(signature.size()));
  put_at(bytes, 1028, static_cast<std::uint32_t>(object.size()));
  std::memcpy(bytes.data() + 1032, entry.data(), entry.size());
  put_at(bytes, 1096, static_cast<std::uint32_t>(entry.size()));
  std::memcpy(bytes.data() + 9296, config.data(), config.size());
  put_at(bytes, 9360, static_cast<std::uint32_t>(config.size()));
  put_at(bytes, 9292, static_cast<std::int32_t>(children.size()));
  bytes.insert(bytes.end(), object.begin(), object.end());
  for (std::size_t i = 0; i < children.size(); ++i) {
    bytes.resize(storage + (bytes.size() - storage + 63) / 64 * 64);
    put_at(bytes, 1100 + 4 * i, children[i].number);
    put_at(bytes, 5196 + 4 * i, static_cast<std::uint32_t>(bytes.size() - storage));
    bytes.insert(bytes.end(), children[i].kernel.begin(), children[i].kernel.end());
  }
  return bytes;
}

}  // namespace troupe::tests
