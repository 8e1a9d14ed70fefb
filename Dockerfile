# `facedet predict` on a mounted folder, on CPUs, as an ordinary user:
#   docker build -t facedet .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" facedet predict photo.jpg -o out
FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt hatchling hatch-fancy-pypi-readme \
 && mkdir /wheel \
 && python -c "from hatchling.build import build_wheel; build_wheel('/wheel')"

FROM python:3.11-slim
COPY constraints.txt /tmp/
# Without an index of its own PyTorch would bring several gigabytes of CUDA.
RUN --mount=from=build,source=/wheel,target=/wheel \
    pip install --no-cache-dir --constraint /tmp/constraints.txt \
      --extra-index-url https://download.pytorch.org/whl/cpu \
      "$(echo /wheel/*.whl)[video]" \
 && useradd --create-home facedet
# Whoever --user names has no home here.
ENV FACEDET_CACHE=/tmp/facedet MPLCONFIGDIR=/tmp/matplotlib
USER facedet
WORKDIR /data
ENTRYPOINT ["facedet"]
CMD ["--help"]
