"""The original's `sam2.utils.misc`: a place for settings that others leave there.

Programs choose attention kernels by setting `get_sdp_backends` here. It has no effect: kernels are
chosen in `sam2_hf/model`.
"""
