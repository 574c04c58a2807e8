"""PyTorch's `torch.utils.data`: data sets, samplers, collation, and `DataLoader`.

For scripts that run their own loop. The service reads data sets through `ddp.data` instead, in an
order that is a pure function of seed and epoch.
"""

from ddp.utils.data.collate import default_collate as default_collate
from ddp.utils.data.collate import default_convert as default_convert
from ddp.utils.data.dataloader import DataLoader as DataLoader
from ddp.utils.data.dataset import ChainDataset as ChainDataset
from ddp.utils.data.dataset import ConcatDataset as ConcatDataset
from ddp.utils.data.dataset import Dataset as Dataset
from ddp.utils.data.dataset import IterableDataset as IterableDataset
from ddp.utils.data.dataset import StackDataset as StackDataset
from ddp.utils.data.dataset import Subset as Subset
from ddp.utils.data.dataset import TensorDataset as TensorDataset
from ddp.utils.data.dataset import random_split as random_split
from ddp.utils.data.distributed import DistributedSampler as DistributedSampler
from ddp.utils.data.sampler import BatchSampler as BatchSampler
from ddp.utils.data.sampler import RandomSampler as RandomSampler
from ddp.utils.data.sampler import Sampler as Sampler
from ddp.utils.data.sampler import SequentialSampler as SequentialSampler
from ddp.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from ddp.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler
from ddp.utils.data.worker import WorkerInfo as WorkerInfo
from ddp.utils.data.worker import get_worker_info as get_worker_info
