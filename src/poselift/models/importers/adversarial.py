"""Weights of networks trained without pairs of 2D and 3D: RepNet's variant and the temporal GAN, without critics."""

from __future__ import annotations

from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.lifters.repnet import RepNet, RepNetConfig
from poselift.models.lifters.video_gan import VideoGAN, VideoGANConfig
from poselift.models.roots.video_gan import VideoGANRoot, VideoGANRootConfig

__all__ = ["build_repnet", "build_video_gan", "build_video_gan_root"]


def build_repnet(weights: Weights, options: ImportOptions) -> Built:
    """The PyTorch adaptation, camera branch included; metres are those of the critic's people."""
    del options
    config = RepNetConfig(width=weights.size("w1.weight", 0, axes=2))
    note = "its poses are as large as people of Human3.6M in such a pose, however large the person is"
    return Built(model=fill(weights, RepNet, config, prefix="net."), notes=[note])


def build_video_gan(weights: Weights, options: ImportOptions) -> Built:
    """The network of root-relative poses."""
    del options
    config = VideoGANConfig(channels=weights.size("w1.weight", 0, axes=3))
    note = "trained together with its root network (--part model_G_root), to cameras like those of Human3.6M"
    return Built(model=fill(weights, VideoGAN, config, prefix="net."), notes=[note])


def build_video_gan_root(weights: Weights, options: ImportOptions) -> Built:
    """The network of roots: it sees pixels of pictures 1000 wide."""
    del options
    config = VideoGANRootConfig(channels=weights.size("w1.weight", 0, axes=3))
    note = "right only for pictures of 1000 × 1000 pixels from cameras like those of Human3.6M"
    return Built(model=fill(weights, VideoGANRoot, config, prefix="net."), notes=[note])
