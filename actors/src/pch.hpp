// Precompiled for this floor only: CAF is by far the heaviest thing we include.
#pragma once
#include <caf/all.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>
