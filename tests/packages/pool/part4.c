int part4(void)
{
    return VALUE;
}
