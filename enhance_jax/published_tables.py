"""The published tables as text; `enhance_jax.published` reads them.

A table's first line names its columns (test set, enlargement), two spaces or
more apart; then a line a system, its metrics divided by "/". "-": not given.
"""

import dataclasses

_OLD = "quoted alike in the READMEs of DRRN and of an EDSR-PyTorch fork"
_ESRGAN = "ESRGAN paper (arXiv:1809.00219), tables and supplement"
_EDSR = "README of EDSR-PyTorch"
_EDSR_PAPER = "EDSR paper (arXiv:1707.02921), DIV2K validation"
_SRGAN = "SRGAN paper (arXiv:1609.04802v5), tables 1 and 2"
_BASICSR = "model zoo of BasicSR"
_MMAGIC = "READMEs of mmagic"
_QUOTED = "paper, as quoted by READMEs"


@dataclasses.dataclass(frozen=True)
class Table:
  """One table, measured under one protocol.

  Attributes:
    source: where it was read.
    text: the rows.
    metrics: what a cell holds, in its order.
    color: as in `published.Protocol`.
    extra_crop: pixels of border beside the scale; None: not stated.
    ssim: whose SSIM.
  """

  source: str
  text: str
  metrics: tuple[str, ...] = ("psnr", "ssim")
  color: str = "luma"
  extra_crop: int | None = 0
  ssim: str = "wang"


_PSNR = ("psnr",)

TABLES = (
  Table(
    _OLD,
    """
             Set5 x2      Set14 x2     BSD100 x2    Urban100 x2
    bicubic  33.66/.9299  30.24/.8688  29.56/.8431  26.88/.8403
    A+       36.54/.9544  32.28/.9056  31.21/.8863  29.20/.8938
    SRCNN    36.66/.9542  32.42/.9063  31.36/.8879  29.50/.8946
    VDSR     37.53/.9587  33.03/.9124  31.90/.8960  30.76/.9140
    EDSR     38.11/.9602  33.92/.9195  32.32/.9013  32.93/.9351
    """,
  ),
  # The quoted table prints 29.29 for A+ on BSD100, against its neighbours.
  Table(
    _OLD,
    """
             Set5 x3      Set14 x3     BSD100 x3    Urban100 x3
    bicubic  30.39/.8682  27.55/.7742  27.21/.7385  24.46/.7349
    A+       32.58/.9088  29.13/.8188  28.29/.7835  26.03/.7973
    SRCNN    32.75/.9090  29.28/.8209  28.41/.7863  26.24/.7989
    VDSR     33.66/.9213  29.77/.8314  28.82/.7976  27.14/.8279
    EDSR     34.65/.9280  30.52/.8462  29.25/.8093  28.80/.8653
    """,
  ),
  Table(
    _OLD,
    """
                   Set5 x4      Set14 x4     BSD100 x4    Urban100 x4
    bicubic        28.42/.8104  26.00/.7027  25.96/.6675  23.14/.6577
    A+             30.28/.8603  27.32/.7491  26.82/.7087  24.32/.7183
    SRCNN          30.48/.8628  27.49/.7503  26.90/.7101  24.52/.7221
    VDSR           31.35/.8838  28.01/.7674  27.29/.7251  25.18/.7524
    EDSR-baseline  32.09/.8938  28.58/.7813  27.57/.7357  26.04/.7849
    EDSR           32.46/.8968  28.80/.7876  27.71/.7420  26.64/.8033
    """,
  ),
  Table(
    _QUOTED,
    """
            Set5 x2  Set5 x3  Set5 x4
    FSRCNN  36.94    33.06    30.55
    """,
    _PSNR,
  ),
  Table(
    "SRCNN paper (arXiv:1501.00092v3), 9-1-5 trained on 91 pictures",
    """
           Set5 x2  Set5 x3  Set5 x4
    SRCNN  36.34    32.39    30.09
    """,
    _PSNR,
  ),
  Table(
    "VDSR paper (arXiv:1511.04587), trained on 91 pictures, one scale",
    """
          Set5 x2  Set5 x3  Set5 x4
    VDSR  37.10    32.89    30.86
    """,
    _PSNR,
  ),
  Table(
    "VDSR paper (arXiv:1511.04587), trained on 91 pictures, three scales",
    """
          Set5 x2  Set5 x3  Set5 x4
    VDSR  37.06    33.27    30.95
    """,
    _PSNR,
  ),
  Table(
    "README of twtygqyy/pytorch-vdsr, a reimplementation",
    """
          Set5 x2  Set5 x3  Set5 x4
    VDSR  37.65    33.77    31.45
    """,
    _PSNR,
    "y",
  ),
  Table(
    "README of yjn870/SRCNN-pytorch, a reimplementation",
    """
           Set5 x2  Set5 x4
    SRCNN  36.65    30.25
    """,
    _PSNR,
  ),
  Table(
    _EDSR,
    """
                   DIV2K val x2  DIV2K val x3  DIV2K val x4
    bicubic        31.01         28.22         26.66
    SRCNN          33.05         29.64         27.78
    VDSR           33.66         30.09         28.17
    EDSR-baseline  34.61         30.92         28.95
    EDSR           35.03         31.26         29.25
    """,
    _PSNR,
    "rgb",
    6,
  ),
  Table(
    _EDSR_PAPER,
    """
                   DIV2K val x2  DIV2K val x4
    EDSR-baseline  34.55         28.94
    EDSR           35.03         29.25
    """,
    _PSNR,
    "rgb",
    6,
  ),
  Table(
    f"{_EDSR_PAPER}, self-ensemble of 8",
    """
          DIV2K val x2  DIV2K val x4
    EDSR  35.12         29.38
    """,
    _PSNR,
    "rgb",
    6,
  ),
  Table(
    _SRGAN,
    """
                    Set5 x4      Set14 x4     BSD100 x4
    nearest         26.26/.7552  -            -
    bicubic         28.43/.8211  25.99/.7486  25.94/.6935
    SRCNN           30.07/.8627  27.18/.7861  26.68/.7291
    ESPCN           30.76/.8784  27.66/.8004  27.02/.7442
    SRResNet        32.05/.9019  28.49/.8184  27.58/.7620
    SRResNet-VGG22  30.51/.8803  27.19/.7807  -
    SRGAN-MSE       30.64/.8701  26.92/.7611  -
    SRGAN-VGG22     29.84/.8468  26.44/.7518  -
    SRGAN-VGG54     29.40/.8472  26.02/.7397  25.16/.6688
    """,
    ssim="daala",
  ),
  Table(
    "README of Lornatang/SRGAN-PyTorch, whose users report less",
    """
                 Set5 x4      Set14 x4     BSD100 x4
    SRResNet     32.16/.8938  28.57/.7815  27.56/.7367
    SRGAN-VGG54  30.67/.8627  27.12/.7321  26.22/.6867
    """,
    extra_crop=None,
  ),
  Table(
    _ESRGAN,
    """
             Manga109 x4
    bicubic  24.89/.7866
    """,
  ),
  Table(
    f"{_ESRGAN}, trained on DIV2K",
    """
          Set5 x4      Set14 x4     BSD100 x4    Urban100 x4  Manga109 x4
    RRDB  32.60/.9002  28.88/.7896  27.76/.7432  26.73/.8072  31.16/.9164
    """,
  ),
  Table(
    f"{_ESRGAN}, trained on DIV2K and Flickr2K",
    """
          Set5 x4      Set14 x4     BSD100 x4    Urban100 x4  Manga109 x4
    RRDB  32.73/.9011  28.99/.7917  27.85/.7455  27.03/.8153  31.66/.9196
    """,
  ),
  Table(
    f"{_ESRGAN}, one picture",
    """
            baboon x4
    ESRGAN  20.35/1.98
    """,
    ("psnr", "pi"),
    extra_crop=None,
  ),
  Table(
    _BASICSR,
    """
                       Set5 x4        Set14 x4       DIV2K val x4
    MSRResNet          30.2468/.8651  26.7817/.7451  28.9967/.8195
    SRGAN (MSRResNet)  28.0158/.8087  24.7474/.6623  26.6504/.7462
    """,
    color="rgb",
  ),
  Table(
    _BASICSR,
    """
               Set5 x2  Set5 x3
    MSRResNet  35.7483  32.4038
    """,
    _PSNR,
    "rgb",
  ),
  Table(
    _BASICSR,
    """
                   DIV2K val x2  DIV2K val x3  DIV2K val x4
    EDSR-baseline  34.5798       30.9095       28.9506
    EDSR           34.9544       31.2664       29.2621
    """,
    _PSNR,
    "rgb",
  ),
  # The same networks as BasicSR's, and PSNR within 0.1 dB, but another SSIM.
  Table(
    _MMAGIC,
    """
                       Set5 x4        Set14 x4       DIV2K val x4
    MSRResNet          30.2252/.8491  26.7762/.7369  28.9748/.8178
    SRGAN (MSRResNet)  27.9499/.7846  24.7383/.6491  26.5697/.7365
    RRDB               30.6428/.8559  27.0543/.7447  29.3354/.8263
    ESRGAN             28.2700/.7778  24.6328/.6491  26.6531/.7340
    """,
    color="rgb",
    ssim="mmagic",
  ),
  Table(
    "README of SPSR",
    """
                 Set5 x4            Set14 x4           BSD100 x4
    bicubic      7.37/.3407/        7.03/.4393/        7.00/.5249/
    SRGAN-VGG54  3.982/.0882/29.17  3.085/.1663/26.17  2.546/.1980/25.46
    ESRGAN       3.752/.0748/30.45  2.926/.1329/26.28  2.479/.1614/25.32
    """,
    ("pi", "lpips", "psnr"),
    extra_crop=None,
  ),
  Table(
    "README of SPSR",
    """
                 Urban100 x4
    bicubic      6.94/.4726/
    SRGAN-VGG54  3.698/.1551/24.40
    ESRGAN       3.770/.1229/24.36
    """,
    ("pi", "lpips", "psnr"),
    extra_crop=None,
  ),
  Table(
    "README of 4PP-EUSR",
    """
                 BSD100 x4
    bicubic      6.995/
    EDSR         5.326/
    SRResNet     5.217/27.601
    SRGAN-MSE    2.802/
    SRGAN-VGG22  2.631/
    SRGAN-VGG54  2.351/25.176
    """,
    ("pi", "psnr"),
    extra_crop=None,
  ),
)
